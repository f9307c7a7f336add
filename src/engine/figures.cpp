// The figures of all heaps (outside.hpp): counted when somebody asks, so that nobody else pays for them.
#include "engine/registry.hpp"

namespace stealth {

namespace {

// Blocks in a list, at a glance: its thread changes the figure without a lock, and pays nothing for those who look.
__attribute__((no_sanitize("thread"), noinline)) std::int32_t listed_now(Bin const& bin) noexcept {
  return max(bin.limit - *const_cast<std::int32_t const volatile*>(&bin.room), 0);
}

// The caller holds the registry.
template <class Lock>
EngineFacts gather_from_heaps(void (*each)(void*, ClassFacts const&), void* context, Lock lock) noexcept {
  EngineFacts facts = {};
  std::uint64_t pages = 0, guarded = 0;
  for_each_heap([&](Heap& heap) {
    guarded += static_cast<std::uint64_t>(heap.guarded_bytes.load(std::memory_order_relaxed));
    facts.large_calls += heap.large_calls;
    facts.large_blocks += heap.large_blocks;
    pages += heap.large_pages;
    for (std::uint32_t list = 0; list < kSpanLists; ++list) {
      std::int32_t const listed = listed_now(heap.bins[kClasses + list]);
      facts.large_blocks -= listed;
      pages -= static_cast<std::uint32_t>(listed) * (bytes_in_list(list) / kPage);
    }
    ++facts.heaps;
  });
  facts.large_bytes = pages * kPage;
  facts.live = facts.large_bytes + guarded;
  for (std::uint32_t c = 1; c < g_classes.count; ++c) {
    SizeClass const& size_class = g_classes.classes[c];
    ClassFacts sum = {};
    sum.size = size_class.block;
    sum.max = size_class.max;
    sum.stalls = g_budget.stalls_of(c);
    for_each_heap([&](Heap& heap) {
      HeapClass const& mine = heap.classes[c];
      if (__atomic_load_n(&mine.carved, __ATOMIC_RELAXED) == 0) return;
      if (!lock(heap)) return;
      // All slabs but the one to carve from are carved whole.
      std::uint64_t carved = std::uint64_t{mine.slabs} * size_class.capacity;
      if (mine.carving != nullptr) carved -= size_class.capacity - mine.carving->carved;
      std::uint64_t chained = 0;
      for (List<Slab> const* slabs : {&mine.partial, &mine.hollow}) {
        for (Slab const* slab = slabs->front(); slab != nullptr; slab = List<Slab>::next(slab))
          chained += slab->free_blocks();
      }
      std::uint64_t const listed =
          size_class.shared ? 0 : static_cast<std::uint64_t>(listed_now(heap.bins[c]) + listed_now(heap.counted(c)));
      sum.slabs += mine.slabs;
      sum.blocks += mine.carved;
      sum.in_slabs += chained;
      sum.in_lists += listed;
      sum.in_use += carved > chained + listed ? carved - chained - listed : 0;
      heap.lock.unlock();
    });
    facts.live += sum.in_use * size_class.block;
    if (sum.blocks != 0 && each != nullptr) each(context, sum);
  }
  for (std::uint32_t i = 0; i < g_classes.rule_count && each != nullptr; ++i) {
    SpanRule const& rule = g_classes.rules[i];
    if (rule.max == 0) continue;  // the others' spans are counted together
    std::uint64_t const in_use = rule.in_use.load(std::memory_order_relaxed);
    each(context, {.size = rule.hi,
                   .slabs = 0,
                   .max = rule.max,
                   .blocks = in_use,
                   .in_use = in_use,
                   .in_lists = 0,
                   .in_slabs = 0,
                   .stalls = g_budget.stalls_of(g_classes.stall_kind(rule))});
  }
  return facts;
}

}  // namespace

EngineFacts gather_facts(void (*each)(void*, ClassFacts const&), void* context) noexcept {
  if (t_thread.busy) return {};
  Busy const busy;
  return gather_facts_while_waiting(each, context);
}

EngineFacts gather_facts_while_waiting(void (*each)(void*, ClassFacts const&), void* context) noexcept {
  Hold hold(g_registry);
  return gather_from_heaps(each, context, lock_foreign);
}

bool gather_facts_as_keeper(void (*each)(void*, ClassFacts const&), void* context, EngineFacts& facts) noexcept {
  constexpr std::uint64_t kPatienceNs = 100'000;
  if (!g_registry.try_lock()) return false;
  facts = gather_from_heaps(each, context, [](Heap& heap) { return heap.lock.try_lock_for(kPatienceNs); });
  g_registry.unlock();
  return true;
}

}  // namespace stealth
