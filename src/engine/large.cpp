// Large allocations: whole runs of slots, grown in place or by moving pages.
#include <cstring>
#include <utility>

#include "base/check.hpp"
#include "engine/faults.hpp"
#include "engine/sampling.hpp"

namespace stealth {

namespace {

// Moving pages beats copying them from about this size on.
constexpr std::size_t kMoveFrom = 256 * kKiB;
// Spans of this many slots (4 MiB) and more begin at a huge page's boundary: the kernel then moves whole page tables.
constexpr std::uint32_t kAlignFrom = 4 * kMiB / kSlot;
constexpr std::uint32_t kHugeSlots = 2 * kMiB / kSlot;

std::uint32_t slots_for(std::size_t bytes) { return static_cast<std::uint32_t>(divide_up(bytes, kSlot)); }
std::uint32_t pages_for(std::size_t bytes) { return static_cast<std::uint32_t>(divide_up(bytes, kPage)); }

// A rule with prealloc keeps as many spans for itself, touched, whoever freed them.
Span* take_kept(SpanRule& rule) {
  if (rule.prealloc == 0) return nullptr;
  Hold hold(rule.mutex);
  auto* const span = static_cast<Span*>(rule.kept.front());
  if (span == nullptr) return nullptr;
  rule.kept.remove(span);
  --rule.kept_count;
  return span;
}

bool keep(SpanRule& rule, Span* span) {
  if (rule.prealloc == 0) return false;
  Hold hold(rule.mutex);
  if (rule.kept_count >= rule.prealloc || span->slots < slots_for(rule.hi)) return false;
  rule.kept.push_front(span);
  ++rule.kept_count;
  return true;
}

void give_back(SpanRule& rule, Span* span) {
  if (!keep(rule, span)) g_arena.free(span);
}

// Whether there is a list for spans of a rule and size.
bool has_list(SpanRule const& rule, std::size_t bytes) {
  return rule.unrounded && bytes > kMaxSmall && bytes <= kMaxListed;
}

// What a span's map word says.
std::uint32_t word_for(Span const* span) {
  std::size_t const bytes = span->pages * kPage;
  if (!has_list(g_classes.rules[span->rule], bytes) || span->moved || span->sample != 0) return kSpanWord;
  return (kClasses + span_list(bytes)) << kBinShift;
}

// One attempt: a run, its first pages charged. Leaves nothing behind when it fails.
Outcome make_span(Heap& heap, SpanRule& rule, std::uint32_t slots, std::uint32_t align, std::uint32_t pages,
                  bool zeroed, Charge& charge, Span*& span) {
  Hold hold(heap.lock);
  span = align == 1 ? take_kept(rule) : nullptr;
  if (span == nullptr) {
    std::uint32_t const alignment = max(align, slots >= kAlignFrom ? kHugeSlots : 1u);
    span = static_cast<Span*>(g_arena.allocate(Zone::spans, slots, alignment));
    if (span == nullptr && alignment > align) span = static_cast<Span*>(g_arena.allocate(Zone::spans, slots, align));
    if (span == nullptr) return Outcome::no_memory;
  }
  if (zeroed) g_arena.zero_dirty(span, pages);
  if (!g_arena.touch(span, 0, pages, charge)) {
    g_arena.free(span);
    span = nullptr;
    return Outcome::over_capacity;
  }
  span->pages = pages;
  span->rule = static_cast<std::uint32_t>(&rule - g_classes.rules);
  span->sample = 0;
  span->block = 0;
  ++heap.large_calls;
  ++heap.large_blocks;
  heap.large_pages += pages;
  g_arena.set_owner(span, 1, word_for(span));
  return Outcome::done;
}

void unmake_span(Heap& heap, SpanRule& rule, Span* span) {
  Hold hold(heap.lock);
  g_arena.set_owner(span, 1, 0);
  --heap.large_calls;
  --heap.large_blocks;
  heap.large_pages -= span->pages;
  give_back(rule, span);
}

// The bytes that a rule gives for a request.
std::size_t rounded(SpanRule const& rule, std::size_t size) {
  if (rule.exact) return rule.hi;
  return rule.unrounded && size > kMaxListed ? size : min(ladder_step(size), rule.hi);
}

// Blocks that a thread's list of spans holds at most.
std::uint32_t most_in_list(std::uint32_t list) {
  return max(static_cast<std::uint32_t>(kMaxListed / 2 / bytes_in_list(list)), 1u);
}

// A list holds nothing at first, and as long as there is a capacity: what lies there is not released.
void raise_span_limit(Heap& heap, std::uint32_t list) {
  std::uint32_t const bit = std::uint32_t{1} << list;
  if ((heap.overflowed_span_lists & bit) == 0 || g_budget.capacity() != CapacityLimits::kNoCapacity) return;
  heap.overflowed_span_lists &= ~bit;
  Hold hold(heap.lock);
  heap.raise_limit(heap.bins[kClasses + list], most_in_list(list), bytes_in_list(list));
}

bool is_full(SpanRule const& rule) { return rule.max != 0 && rule.in_use.load(std::memory_order_seq_cst) >= rule.max; }

// Counts one more block of a rule with a max; false: it is full.
bool enter_rule(SpanRule& rule) {
  if (rule.max == 0) return true;
  std::uint64_t in_use = rule.in_use.load(std::memory_order_relaxed);
  do {
    if (in_use >= rule.max) return false;
  } while (!rule.in_use.compare_exchange_weak(in_use, in_use + 1, std::memory_order_relaxed));
  return true;
}

void leave_rule(SpanRule& rule) {
  if (rule.max == 0) return;
  rule.in_use.fetch_sub(1, std::memory_order_seq_cst);
  g_budget.freed(0, &rule, nullptr);
}

}  // namespace

void* allocate_span(std::size_t size, std::size_t alignment, bool zeroed) noexcept {
  SpanRule* const rule = g_classes.rule_for(max(size, kMaxSmall + 1));
  if (rule == nullptr) return pass_on(size, alignment, zeroed);
  std::size_t const bytes = rounded(*rule, max(size, std::size_t{1}));
  Heap* const heap = own_heap();
  if (heap == nullptr || bytes > kLargestSpan || alignment > kLargestSpan) return pass_on(size, alignment, zeroed);
  if (has_list(*rule, bytes)) raise_span_limit(*heap, span_list(bytes));
  auto const align = static_cast<std::uint32_t>(max(alignment >> kSlotShift, std::size_t{1}));
  Span* span = nullptr;
  Outcome const result = until_admitted(*heap, {g_classes.stall_kind(*rule), rule}, [&](Charge& charge) {
    if (is_full(*rule)) return Outcome::at_max;
    Outcome const made = make_span(*heap, *rule, slots_for(bytes), align, pages_for(bytes), zeroed, charge, span);
    if (made != Outcome::done || enter_rule(*rule)) return made;
    unmake_span(*heap, *rule, span);  // others were faster
    return Outcome::at_max;
  });
  if (result == Outcome::done) {
    if (is_sampling()) count_span(*heap, span, size <= kMaxSmall ? size : bytes);
    return g_arena.memory_of(span);
  }
  return result == Outcome::refused ? out_of_memory() : pass_on(size, alignment, zeroed);
}

void free_span(void* p, std::size_t offset) noexcept {
  if (offset % kSlot != 0) report_bad_free(p);
  auto* const span = static_cast<Span*>(g_arena.run_at(offset >> kSlotShift));
  SpanRule& rule = g_classes.rules[span->rule];
  std::uint32_t const word = g_arena.disown(span);
  if (word == 0) report_bad_free(p);  // another thread has just freed it
  forget_sample(span);
  Heap* const own = own_heap();
  if (own != nullptr && is_listed_span(word))
    own->overflowed_span_lists |= std::uint32_t{1} << (list_in(word) - kClasses);
  Heap& counted_by = own != nullptr ? *own : g_shared_heap;
  std::size_t const bytes = span->pages * kPage;
  g_arena.learn_from(span, span->pages);
  {
    Hold hold(counted_by.lock);
    counted_by.large_pages -= span->pages;
    --counted_by.large_blocks;
    give_back(rule, span);
  }
  leave_rule(rule);
  g_budget.freed(bytes, nullptr, own != nullptr ? &own->account : nullptr);
}

namespace {

// Charges the pages that growing from `from` to `to` adds, waiting if need be.
Outcome admit(Heap& heap, Span* span, std::uint32_t from, std::uint32_t to) {
  return until_admitted(heap, {0, nullptr}, [&](Charge& charge) {
    Hold hold(heap.lock);
    return g_arena.touch(span, from, to, charge) ? Outcome::done : Outcome::over_capacity;
  });
}

// Grows a span by moving its pages to a longer run; no_memory where that cannot be done.
Outcome move_to_longer(Heap& heap, Span*& span, std::uint32_t slots, std::uint32_t pages) {
  if (span->pages * kPage < kMoveFrom) return Outcome::no_memory;
  std::uint32_t const align = slots >= kAlignFrom ? kHugeSlots : 1;
  // Room to grow costs addresses only, and saves the next moves.
  auto* target = static_cast<Span*>(g_arena.allocate(Zone::spans, slots + slots / 2, align));
  if (target == nullptr) target = static_cast<Span*>(g_arena.allocate(Zone::spans, slots, 1));
  if (target == nullptr) return Outcome::no_memory;
  auto const used = static_cast<std::uint32_t>(divide_up(span->pages, kPagesPerSlot));
  Outcome const admitted = admit(heap, target, used * kPagesPerSlot, pages);
  Hold hold(heap.lock);
  if (admitted != Outcome::done) {
    g_arena.free(target);
    return admitted;
  }
  if (target->slots > slots) g_arena.purge_from(target, slots);
  Moved const moved = g_arena.move(span, target, used);
  if (moved == Moved::not_at_all) g_arena.free(target);
  if (moved == Moved::target_lost) g_arena.shrink(target, used);  // what was to be grown into is as good as before
  if (moved != Moved::pages) return Outcome::no_memory;
  Charge rest{.level = Level::over};
  static_cast<void>(g_arena.touch(target, span->pages, pages, rest));  // the rest of the last slot: cannot fail
  target->pages = span->pages;
  target->rule = span->rule;
  target->sample = std::exchange(span->sample, 0);
  target->block = 0;
  g_arena.set_owner(span, 1, 0);
  g_arena.set_owner(target, 1, kSpanWord);
  g_arena.free(span);
  span = target;
  return Outcome::done;
}

}  // namespace

Outcome resize_span(void*& p, std::size_t size) noexcept {
  auto* span = static_cast<Span*>(g_arena.run_at(g_arena.offset_of(p) >> kSlotShift));
  SpanRule const& rule = g_classes.rules[span->rule];
  Heap* const heap = own_heap();
  if (size <= max(rule.lo, kMaxSmall) || size > rule.hi || size > kLargestSpan || heap == nullptr)
    return Outcome::no_memory;
  std::size_t const bytes = rounded(rule, size);
  std::uint32_t const pages = pages_for(bytes);
  std::uint32_t const slots = slots_for(bytes);

  Outcome result = Outcome::done;
  if (pages <= span->pages) {
    if (pages * 2 < span->pages && span->moved) return Outcome::no_memory;  // a mapping of its own cannot be cut
    g_arena.shrink(span, slots);
  } else if (slots <= span->slots || g_arena.extend(span, slots)) {
    result = admit(*heap, span, span->pages, pages);
  } else {
    result = move_to_longer(*heap, span, slots, pages);
  }
  if (result != Outcome::done) return result;
  if (is_sampling() || span->sample != 0) count_growth(*heap, span, span->pages * kPage, pages * kPage);
  Hold hold(heap->lock);
  heap->large_pages += std::uint64_t{pages} - span->pages;
  span->pages = pages;
  g_arena.set_owner(span, 1, word_for(span));
  p = g_arena.memory_of(span);
  return Outcome::done;
}

bool preallocate_spans() noexcept {
  bool complete = true;
  for (std::uint32_t i = 0; i < g_classes.rule_count; ++i) {
    SpanRule& rule = g_classes.rules[i];
    for (std::uint64_t made = 0; made < rule.prealloc; ++made) {
      auto* const span = static_cast<Span*>(g_arena.allocate(Zone::spans, slots_for(rule.hi), 1));
      Charge charge{.level = Level::within};
      if (span == nullptr || !g_arena.touch(span, 0, pages_for(rule.hi), charge)) {
        if (span != nullptr) g_arena.free(span);
        complete = false;
        break;
      }
      char volatile* const memory = g_arena.memory_of(span);
      for (std::size_t at = 0; at < rule.hi; at += kPage) memory[at] = 0;
      static_cast<void>(keep(rule, span));
    }
  }
  return complete;
}

void Heap::flush_span_lists() noexcept {
  for (std::uint32_t list = 0; list < kSpanLists; ++list) {
    Bin& bin = bins[kClasses + list];
    FreeBlock* block = std::exchange(bin.head, nullptr);
    bin.room = bin.limit;
    FreeBlock const* before = nullptr;
    while (block != nullptr) {
      std::size_t const offset = g_arena.offset_of(block);
      if (!g_arena.contains(offset) || offset % kSlot != 0 || g_arena.owner_word(offset >> kSlotShift) != 0 ||
          g_arena.run_at(offset >> kSlotShift)->state != RunState::used)
        report_bad_link(before, block);
      FreeBlock* const next = block->next;
      auto* const span = static_cast<Span*>(g_arena.run_at(offset >> kSlotShift));
      large_pages -= span->pages;
      --large_blocks;
      g_arena.free(span);
      g_budget.own_freed(bytes_in_list(list), collecting ? nullptr : &account);
      before = std::exchange(block, next);
    }
  }
}

}  // namespace stealth
