// See spans.hpp.
#include "guard/spans.hpp"

#include <cstring>

#include "engine/slow.hpp"
#include "guard/canary.hpp"
#include "guard/lists.hpp"
#include "guard/pages.hpp"
#include "guard/reports.hpp"

namespace stealth::guard {

namespace {

// What a heap keeps from being handed out again: addresses only.
constexpr std::uint64_t kMostSpans = 256, kMostSpanBytes = 4 * kGiB;
// Of larger ones the pages are the kernel's zeros, touched by the program or not at all.
constexpr std::size_t kMostFilled = 16 * kMiB;

struct GuardedSpan : Run {
  Record record;
  std::uint32_t lead;    // bytes in front of `memory`: inaccessible
  std::uint32_t ranges;  // that are inaccessible, counted as close_pages() does
  std::size_t bytes;     // of what is accessible, as long as it lives: whole pages
  char* start;           // of the allocation

  [[nodiscard]] char* memory() const noexcept { return g_arena.memory_of(this) + lead; }
  [[nodiscard]] char* end() const noexcept { return memory() + bytes; }
};
static_assert(sizeof(GuardedSpan) <= kRunStride);

struct Layout {
  std::size_t lead, bytes, start;  // `start` from the run's start
  std::uint32_t slots, align;
};

// What is aligned to whole slots has no page in front of its own: it begins where its run does, and another one's last
// page is before it.
Layout layout_of(std::size_t size, std::size_t alignment) noexcept {
  std::size_t const guard = guard_bytes();
  Layout layout = {};
  std::size_t const rounded = align_up(max(size, std::size_t{1}), alignment >= kSlot ? guard : alignment);
  layout.bytes = align_up(rounded, guard);
  layout.lead = alignment >= kSlot ? 0 : max(guard, alignment);
  layout.start = alignment >= kSlot ? 0 : layout.lead + layout.bytes - rounded;
  layout.slots = static_cast<std::uint32_t>(divide_up(layout.lead + layout.bytes + guard, kSlot));
  layout.align = static_cast<std::uint32_t>(max(alignment >> kSlotShift, std::size_t{1}));
  return layout;
}

// Where the allocation begins in its run's second slot, that one has the word as well, and no start (allocate_span()).
GuardedSpan* span_at(std::size_t slot) noexcept {
  auto* const span = static_cast<GuardedSpan*>(g_arena.run_at(slot));
  return span->start != nullptr ? span : static_cast<GuardedSpan*>(g_arena.run_at(slot - 1));
}
GuardedSpan* span_of(void const* p) noexcept { return span_at(g_arena.offset_of(p) >> kSlotShift); }

std::uint32_t words_of(GuardedSpan const* span) noexcept {
  return static_cast<std::uint32_t>((g_arena.offset_of(span->start) >> kSlotShift) - g_arena.slot_of(span)) + 1;
}

void close_around(GuardedSpan* span) noexcept {
  char* const begin = g_arena.memory_of(span);
  char* const end = begin + span->slots * kSlot;
  span->ranges = 0;
  if (span->lead != 0) span->ranges += static_cast<std::uint32_t>(close_pages(begin, span->lead));
  span->ranges += static_cast<std::uint32_t>(close_pages(span->end(), static_cast<std::size_t>(end - span->end())));
}

// Stays used, by nobody, where the kernel does not let it be used again.
void give_back(GuardedSpan* span) noexcept {
  g_arena.set_owner(span, words_of(span), 0);
  if (span->ranges != 0 && !open_pages(g_arena.memory_of(span), span->slots * kSlot, static_cast<int>(span->ranges)))
    return;
  g_arena.free(span);
}

void give_back_oldest(Lists& lists) noexcept {
  auto* const oldest = static_cast<GuardedSpan*>(lists.spans.back());
  lists.spans.remove(oldest);
  --lists.span_count;
  lists.span_bytes -= oldest->slots * kSlot;
  give_back(oldest);
}

void check_around(GuardedSpan const* span) noexcept {
  char const* const end = span->start + span->record.size;
  if (!is_canary(end, span->end())) report_overflow(span->start, damage_in(end, span->end()), span->record);
  if (!is_canary(span->memory(), span->start))
    report_underflow(span->start, damage_in(span->memory(), span->start), span->record, nullptr, nullptr);
}

// With a lock that forks take: a child counts its pages.
bool purge(Heap& heap, GuardedSpan const* span) noexcept {
  Hold hold(heap.lock);
  return g_arena.purge_pages(span, 0, static_cast<std::uint32_t>(span->slots * kPagesPerSlot));
}

// One attempt: a run, its pages charged. Leaves nothing behind when it fails.
Outcome make(Heap& heap, Layout const& layout, Charge& charge, GuardedSpan*& span) noexcept {
  Hold hold(heap.lock);
  span = static_cast<GuardedSpan*>(g_arena.allocate(Zone::spans, layout.slots, layout.align));
  if (span == nullptr) return Outcome::no_memory;
  auto const from = static_cast<std::uint32_t>(layout.lead / kPage);
  auto const to = static_cast<std::uint32_t>((layout.lead + layout.bytes) / kPage);
  if (g_arena.touch(span, from, to, charge)) return Outcome::done;
  g_arena.free(span);
  return Outcome::over_capacity;
}

}  // namespace

void* allocate_span(Heap& heap, std::size_t size, std::size_t alignment, bool zeroed) noexcept {
  Trace const here = trace_here(recent_traces(&heap));
  Layout const layout = layout_of(size, alignment);
  GuardedSpan* span = nullptr;
  Outcome const outcome =
      until_admitted(heap, {0, nullptr}, [&](Charge& charge) { return make(heap, layout, charge, span); });
  if (outcome == Outcome::refused) return out_of_memory();
  if (outcome != Outcome::done) return pass_on(size, alignment, zeroed);
  span->lead = static_cast<std::uint32_t>(layout.lead);
  span->bytes = layout.bytes;
  span->start = g_arena.memory_of(span) + layout.start;
  span->record.door = Door::malloc;
  span->record.block = 0;
  span->record.size = size;
  span->record.allocated_by = here;
  span->record.freed_by = kNoTrace;
  auto const pages = static_cast<std::uint32_t>((layout.lead + layout.bytes) / kPage);
  // All of it is about to be written: one call for what would be a fault for each page.
  if (size <= kMostFilled && !os::may_be_filtered()) static_cast<void>(os::populate(span->memory(), span->bytes));
  if (size > kMostFilled) {
    if (!purge(heap, span)) std::memset(span->start, 0, size);
    Charge again{.level = Level::over};
    Hold hold(heap.lock);
    static_cast<void>(g_arena.touch(span, static_cast<std::uint32_t>(layout.lead / kPage), pages, again));
  } else if (zeroed) {
    std::memset(span->start, 0, size);
  } else {
    fill_words(span->start, word_of(span->start + size + sizeof(Word) - 1), kUninitialised);
  }
  fill_canary(span->memory(), span->start);
  fill_canary(span->start + size, span->end());
  close_around(span);
  span->record.enter(State::live);
  if (words_of(span) == 2) static_cast<GuardedSpan*>(g_arena.run_at(g_arena.slot_of(span) + 1))->start = nullptr;
  g_arena.set_owner(span, words_of(span), kGuardedSpan);
  count_guarded(&heap, static_cast<std::int64_t>(span->bytes));
  return span->start;
}

void free_span(void* p, Farewell const& farewell) noexcept {
  Record& record = span_record(p);
  if (!take_leave(p, record, farewell)) return;
  GuardedSpan* const span = span_of(p);
  Heap* const own = own_heap();
  record.freed_by = trace_here(recent_traces(own));
  check_around(span);
  bool const closed = close_pages(g_arena.memory_of(span), span->slots * kSlot);
  if (closed) ++span->ranges;
  bool const purged = purge(own != nullptr ? *own : g_shared_heap, span);
  if (!purged && !closed) std::memset(span->start, 0, record.size);
  count_guarded(own, -static_cast<std::int64_t>(span->bytes));
  g_budget.freed(span->bytes, nullptr, own != nullptr ? &own->account : nullptr);
  record.enter(State::freed);
  Lists* const lists = own != nullptr ? lists_of(*own) : nullptr;
  if (lists == nullptr) return give_back(span);
  Hold hold(own->lock);
  lists->spans.push_front(span);
  ++lists->span_count;
  lists->span_bytes += span->slots * kSlot;
  while (lists->span_count > kMostSpans || (lists->span_bytes > kMostSpanBytes && lists->span_count > 1))
    give_back_oldest(*lists);
}

void release_spans(Heap& heap) noexcept {
  auto& lists = *static_cast<Lists*>(heap.guarded);
  while (lists.span_count != 0) give_back_oldest(lists);
}

Record& span_record(void* p) noexcept {
  GuardedSpan* const span = span_of(p);
  if (span->start != p) report_inside(p, span->start, span->record);
  return span->record;
}

void check_span(std::size_t slot) noexcept {
  GuardedSpan* const span = span_at(slot);
  if (g_arena.slot_of(span) != slot || !span->record.leave(State::live)) return;
  check_around(span);
  span->record.enter(State::live);
}

bool find_span(void const* address, char*& start, Record const*& record) noexcept {
  Run const* const run = g_arena.run_holding(g_arena.offset_of(address) >> kSlotShift);
  if (run == nullptr || run->state != RunState::used || g_arena.owner_word(g_arena.slot_of(run)) != kGuardedSpan)
    return false;
  auto const* const span = static_cast<GuardedSpan const*>(run);
  start = span->start;
  record = &span->record;
  return true;
}

}  // namespace stealth::guard
