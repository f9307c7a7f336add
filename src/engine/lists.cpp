// A thread's lists of free blocks, as the slow path sees them: how long they may be, and their way back to the slabs.
// What stands in a list is what the program freed, and may have written to since: each link is looked at before it is
// followed. The caller holds the heap's lock.
#include "engine/faults.hpp"
#include "engine/heap.hpp"

namespace stealth {

namespace {

// By how much all threads' lists together have been raised above their first limits, in bytes. It stays below a share
// of what the process holds: threads x classes x 32 KiB would be gigabytes.
constinit std::atomic<std::uint64_t> g_raised{0};

// A thread that has given back so many full lists in a row, of the longest, only frees.
constexpr std::uint32_t kManyLists = 4;

std::uint64_t most_raised() { return kMiB + g_budget.held() / 16; }

}  // namespace

// Doubles the list's limit, as long as all limits together stay bounded.
void Heap::raise_limit(Bin& bin, std::uint32_t most, std::size_t block) noexcept {
  std::int32_t const wanted = min(max(bin.limit * 2, 1), static_cast<std::int32_t>(most));
  std::int32_t const more = wanted - bin.limit;
  if (more <= 0) return;
  std::uint64_t const bytes = static_cast<std::uint64_t>(more) * block;
  if (g_raised.load(std::memory_order_relaxed) + bytes > most_raised()) return;
  g_raised.fetch_add(bytes, std::memory_order_relaxed);
  bin.limit += more;
  bin.room += more;
}

// Half of the list goes back at once: who frees many blocks in a row then takes the hot path for most of them. Who only
// frees, and goes on to, wants nothing from the list, and what lies there keeps pages: its limit falls again.
void Heap::overflow(std::uint32_t c) noexcept {
  used_tick = g_tick.load(std::memory_order_relaxed);
  Bin& bin = bins[c];
  SizeClass const& size_class = g_classes.classes[c];
  std::uint32_t& overflowed = classes[c].overflowed;
  if (overflowed > kManyLists * size_class.last_limit) {
    std::int32_t const less = min(bin.limit / 2, bin.limit - static_cast<std::int32_t>(size_class.first_limit));
    bin.limit -= less;
    bin.room -= less;
    g_raised.fetch_sub(static_cast<std::uint64_t>(less) * size_class.block, std::memory_order_relaxed);
  }
  overflowed += push_back(c, static_cast<std::uint32_t>(bin.limit / 2 - min(bin.room, 0)));
}

// The slab of what stood in a list of the class; null where that is no block of this heap's.
Slab* Heap::slab_of(FreeBlock const* link, std::uint32_t c) const noexcept {
  std::size_t const offset = g_arena.offset_of(link);
  if (!g_arena.contains(offset)) return nullptr;
  std::size_t const slot = offset >> kSlotShift;
  if (g_arena.owner_word(slot) != (id | c << kBinShift)) return nullptr;
  Slab* const slab = slab_at(slot, g_classes.classes[c]);
  return BlocksOf(*slab, g_classes.classes[c]).contain(link) ? slab : nullptr;
}

// The same of the list's first, which may be there because the hot path takes what it finds: a link that was
// overwritten, or a pointer that was no block when it was freed.
Slab* Heap::slab_of_head(std::uint32_t c) const noexcept {
  FreeBlock* const head = bins[c].head;
  if (Slab* const slab = slab_of(head, c); slab != nullptr) [[likely]]
    return slab;
  std::size_t const offset = g_arena.offset_of(head);
  if (g_arena.contains(offset) && g_arena.owner_word(offset >> kSlotShift) == (id | c << kBinShift))
    report_bad_free(head);
  report_bad_link(nullptr, head);
}

// At most so many blocks of the list go back to their slabs, those of the same slab that follow each other as they are
// linked; how many.
std::uint32_t Heap::push_back(std::uint32_t c, std::uint32_t most) noexcept {
  Bin& bin = bins[c];
  SizeClass const& size_class = g_classes.classes[c];
  std::uint32_t pushed = 0;
  for (Slab* slab = bin.head != nullptr ? slab_of_head(c) : nullptr; slab != nullptr && pushed < most;) {
    BlocksOf const blocks(*slab, size_class);
    FreeBlock const* const free_already = slab->free;
    std::uint32_t const out = slab->blocks_out();  // no more can come back: so a list that has no end is found out
    std::uint32_t const end = min(most - pushed, out);
    FreeBlock* const head = bin.head;
    FreeBlock* tail = head;
    FreeBlock* next = head->next;
    std::uint32_t count = 1;
    for (; count < end && blocks.contain(next) && next != free_already; ++count) {
      tail = next;
      next = next->next;
    }
    Slab* slab_of_next = nullptr;
    if (next != nullptr) {
      bool const is_of_slab = blocks.contain(next);
      slab_of_next = is_of_slab ? slab : slab_of(next, c);
      if (slab_of_next == nullptr) [[unlikely]]
        report_bad_link(tail, next);
      if (next == free_already) [[unlikely]]
        report_double_free(next, size_class.block);
      // Too many; or one twice in a row, or with another between.
      if ((is_of_slab && count == out) || next == tail || next->next == tail) [[unlikely]]
        report_returned_twice(*slab, head);
    }
    if (head == free_already || count > out) [[unlikely]]
      report_returned_twice(*slab, head);
    bin.head = next;
    bin.room += static_cast<std::int32_t>(count);
    push_chain(slab, head, tail, count);
    pushed += count;
    slab = slab_of_next;
  }
  return pushed;
}

void Heap::uncount(std::uint32_t c) noexcept {
  FreeBlock* const head = counted(c).head;
  if (head == nullptr) return;
  FreeBlock* tail = head;
  std::int32_t count = 1;
  for (; tail->next != nullptr; ++count) {
    if (slab_of(tail->next, c) == nullptr) report_bad_link(tail, tail->next);
    tail = tail->next;
  }
  counted(c) = {};
  tail->next = bins[c].head;
  bins[c].head = head;
  bins[c].room -= count;
  samples_due &= ~(std::uint64_t{1} << c);  // they will be counted anew
}

// Every block of the list goes back to its slab.
void Heap::flush_bin(std::uint32_t c) noexcept {
  uncount(c);
  static_cast<void>(push_back(c, ~std::uint32_t{0}));
  bins[c].room = bins[c].limit;
}

}  // namespace stealth
