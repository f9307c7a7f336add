// See blocks.hpp.
#include "guard/blocks.hpp"

#include <utility>

#include "engine/registry.hpp"
#include "guard/contents.hpp"
#include "guard/lists.hpp"
#include "guard/pages.hpp"
#include "guard/reports.hpp"

namespace stealth::guard {

namespace {

// --- what a thread has at hand ---

// More of a class in quarantine than its shape says goes back to the slabs by so many at once.
std::uint32_t most_over(Shape const& shape) noexcept { return min(shape.quarantine / 4, 64u); }

// Where its memory will be looked at before long.
void expect(Info const* info, Shape const& shape) noexcept {
  char const* const start = start_of(info, shape);
  __builtin_prefetch(info, 1);
  __builtin_prefetch(start, 1);
  __builtin_prefetch(start + shape.block - 1, 1);
}

Info* take_oldest(BlockList& mine) noexcept {
  Info* const info = mine.oldest;
  mine.oldest = info->next;
  if (mine.oldest == nullptr) mine.newest = nullptr;
  --mine.quarantined;
  return info;
}

__attribute__((noinline)) void put_back_oldest(Heap& heap, BlockList& mine, std::uint32_t keep) noexcept {
  Hold hold(heap.lock);
  while (mine.quarantined > keep && mine.oldest != nullptr) put_back(mine, take_oldest(mine));
}

void quarantine(Heap& heap, BlockList& mine, Shape const& shape, Info* info) noexcept {
  info->next = nullptr;
  std::atomic_signal_fence(std::memory_order_release);
  (mine.newest == nullptr ? mine.oldest : mine.newest->next) = info;
  mine.newest = info;
  if (++mine.quarantined > shape.quarantine + most_over(shape)) [[unlikely]]
    put_back_oldest(heap, mine, shape.quarantine);
}

__attribute__((noinline)) void take_returned(Heap& heap, Lists& lists) noexcept {
  Info* info = lists.returned.exchange(nullptr, std::memory_order_acquire);
  while (info != nullptr) {
    std::uint32_t const c = slab_of(info)->size_class;
    quarantine(heap, lists.blocks[c], g_shapes[c], std::exchange(info, info->next));
  }
}

// One that costs nothing; null: there is none.
[[gnu::always_inline]] inline Info* take_at_hand(BlockList& mine, Shape const& shape) noexcept {
  if (mine.quarantined > shape.quarantine) {
    Info* const info = take_oldest(mine);
    if (mine.oldest != nullptr) expect(mine.oldest, shape);
    return info;
  }
  Info* const info = mine.ready;
  if (info == nullptr) return nullptr;
  mine.ready = info->next;
  if (mine.ready != nullptr) expect(mine.ready, shape);
  return info;
}

// One attempt. The caller may have waited since the last one, and others have freed.
Outcome try_to_take(Heap& heap, Lists& lists, std::uint32_t c, Charge& charge, Info*& info) noexcept {
  BlockList& mine = lists.blocks[c];
  if (lists.returned.load(std::memory_order_relaxed) != nullptr) take_returned(heap, lists);
  if (info = take_at_hand(mine, g_shapes[c]); info != nullptr) return Outcome::done;
  Hold hold(heap.lock);
  make_ready(mine);
  if (info = take_at_hand(mine, g_shapes[c]); info != nullptr) return Outcome::done;
  Outcome const outcome = carve(heap, mine, c, charge, info);
  if (outcome == Outcome::done || mine.oldest == nullptr || charge.refusal == Refusal::idle_first) return outcome;
  info = take_oldest(mine);  // rather than to wait, or to refuse
  return Outcome::done;
}

__attribute__((noinline)) Outcome take(Heap& heap, Lists& lists, std::uint32_t c, std::size_t size,
                                       Info*& info) noexcept {
  return until_admitted(heap, {serving_class(size), &heap},
                        [&](Charge& charge) { return try_to_take(heap, lists, c, charge, info); });
}

// --- from pointers ---

struct Found {
  GuardedSlab* slab;
  std::uint32_t index;
  Info& info;
};

[[gnu::always_inline]] inline Found find(void* p) noexcept {
  std::size_t const offset = g_arena.offset_of(p);
  GuardedSlab* const slab = slab_at(offset >> kSlotShift);
  Shape const& shape = g_shapes[slab->size_class];
  std::size_t const within = offset % kSlabBytes - shape.first;
  std::uint32_t const carved = __atomic_load_n(&slab->carved, __ATOMIC_ACQUIRE);
  if (offset % kSlabBytes < shape.first || within >= std::size_t{carved} * shape.block) [[unlikely]]
    report_never_given(p, shape.block);
  std::uint32_t const index = divide_by_reciprocal(within, shape.reciprocal);
  Info& info = slab->infos()[index];
  if (info.state.load(std::memory_order_relaxed) == State::unused) [[unlikely]]
    report_never_given(p, shape.block);
  if (std::size_t{index} * shape.block != within) [[unlikely]]
    report_inside(p, block_at(slab, index), info);
  return {slab, index, info};
}

[[gnu::always_inline]] inline void* hand_out(Heap& heap, Lists& lists, std::uint32_t c, Info* info, std::size_t size,
                                             bool zeroed, Trace here) noexcept {
  Shape const& shape = g_shapes[c];
  char* const block = start_of(info, shape);
  if (c != kNothing) check_free(block, *info);
  info->enter(State::moving);
  info->size = size;
  info->door = Door::malloc;
  info->allocated_by = here;
  info->freed_by = kNoTrace;
  if (c != kNothing) fill(block, shape.block, size, zeroed);
  info->enter(State::live);
  count_guarded(&heap, static_cast<std::int64_t>(shape.block));
  lists.last = info;
  lists.last_start = block;
  return block;
}

}  // namespace

void* allocate_block_quickly(Heap& heap, std::uint32_t c, std::size_t size) noexcept {
  auto* const lists = static_cast<Lists*>(heap.guarded);
  if (lists == nullptr || lists->returned.load(std::memory_order_relaxed) != nullptr) return nullptr;
  Info* const info = take_at_hand(lists->blocks[c], g_shapes[c]);
  return info != nullptr ? hand_out(heap, *lists, c, info, size, false, trace_here(&lists->recent)) : nullptr;
}

void* allocate_block(Heap& heap, std::uint32_t c, std::size_t size, std::size_t alignment, bool zeroed) noexcept {
  Lists* const lists = lists_of(heap);
  if (lists == nullptr) return out_of_memory();
  Info* info = nullptr;
  Outcome const outcome = take(heap, *lists, c, size, info);
  if (outcome == Outcome::refused) return out_of_memory();
  if (outcome != Outcome::done) return pass_on(size, alignment, zeroed);
  return hand_out(heap, *lists, c, info, size, zeroed, trace_here(&lists->recent));
}

void free_block(void* p, Farewell const& farewell) noexcept {
  Found const found = find(p);
  Info& info = found.info;
  if (!take_leave(p, info, farewell)) return;
  GuardedSlab* const slab = found.slab;
  std::uint32_t const c = slab->size_class;
  Heap* const own = t_thread.own != nullptr ? t_thread.own : own_heap();
  info.freed_by = trace_here(recent_traces(own));
  if (c != kNothing) {
    auto* const block = static_cast<char*>(p);
    check_around(slab->infos(), found.index, block, info);
    clear(block, info.block);
  }
  count_guarded(own, -static_cast<std::int64_t>(info.block));
  info.enter(State::freed);
  auto& lists = *static_cast<Lists*>(slab->heap->guarded);
  if (own != nullptr && slab->heap == own) [[likely]]
    return quarantine(*own, lists.blocks[c], g_shapes[c], &info);
  info.next = lists.returned.load(std::memory_order_relaxed);
  while (
      !lists.returned.compare_exchange_weak(info.next, &info, std::memory_order_release, std::memory_order_relaxed)) {
  }
}

void release_blocks(Heap& heap, bool all) noexcept {
  auto& lists = *static_cast<Lists*>(heap.guarded);
  Info* info = lists.returned.exchange(nullptr, std::memory_order_acquire);
  while (info != nullptr) {
    BlockList& mine = lists.blocks[slab_of(info)->size_class];
    put_back(mine, std::exchange(info, info->next));
  }
  if (!all) return;
  for (BlockList& mine : lists.blocks) {
    while (mine.oldest != nullptr) put_back(mine, take_oldest(mine));
    mine.quarantined = 0;
    while (mine.ready != nullptr) put_back(mine, std::exchange(mine.ready, mine.ready->next));
    retire_carving(mine);
  }
}

Record& block_record(void* p) noexcept { return find(p).info; }

namespace {

// The caller holds the slab's heap's lock.
void check_blocks(GuardedSlab const* slab) noexcept {
  std::uint32_t const carved = __atomic_load_n(&slab->carved, __ATOMIC_ACQUIRE);
  if (slab->size_class == kNothing) return;
  for (std::uint32_t i = 0; i < carved; ++i) {
    Info const& info = slab->infos()[i];
    char const* const block = block_at(slab, i);
    State const state = info.state.load(std::memory_order_acquire);
    if (state == State::moving) continue;
    bool const is_live = state == State::live;
    bool const damaged = is_live ? !is_undamaged(block, info) : !is_clear(block, info.block);
    // Somebody may just have taken it, or given it back.
    if (!damaged || info.state.load(std::memory_order_acquire) != state) continue;
    is_live ? check_around(slab->infos(), i, block, info) : check_free(block, info);
  }
}

}  // namespace

// It may be given back at any moment, but for when its heap's lock is held; and be something else then.
void check_slab(std::size_t slot) noexcept {
  constexpr std::uint64_t kPatienceNs = 20'000'000;
  GuardedSlab const* const slab = slab_at(slot);
  Heap const* const said = __atomic_load_n(&slab->heap, __ATOMIC_RELAXED);
  for_each_heap([&](Heap& heap) {
    if (&heap != said || !heap.lock.try_lock_for(kPatienceNs)) return;
    if (g_arena.owner_word(slot) == kGuardedBlock && slab->heap == &heap) check_blocks(slab);
    heap.lock.unlock();
  });
}

bool find_block(void const* address, char*& start, Record const*& record) noexcept {
  std::size_t const offset = g_arena.offset_of(address);
  GuardedSlab const* const slab = slab_at(offset >> kSlotShift);
  Shape const& shape = g_shapes[slab->size_class];
  std::uint32_t const carved = __atomic_load_n(&slab->carved, __ATOMIC_ACQUIRE);
  if (carved == 0) return false;
  std::size_t const within = offset % kSlabBytes;
  std::size_t const index =
      within < shape.first ? 0 : min<std::size_t>((within - shape.first) / shape.block, carved - 1);
  start = block_at(slab, static_cast<std::uint32_t>(index));
  record = &slab->infos()[index];
  return true;
}

}  // namespace stealth::guard
