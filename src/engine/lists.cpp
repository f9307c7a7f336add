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
  check_head(c);
  for (std::int32_t left = bin.limit / 2 - min(bin.room, 0); left > 0 && bin.head != nullptr;) {
    std::uint32_t const count = push_run(c, static_cast<std::uint32_t>(left));
    left -= static_cast<std::int32_t>(count);
    overflowed += count;
  }
}

// Whether a link that stood in a list of the class may be what it says: a block of a slab of this heap's.
bool Heap::is_mine(FreeBlock const* link, std::uint32_t c) const noexcept {
  std::size_t const offset = g_arena.offset_of(link);
  if (!g_arena.contains(offset)) return false;
  std::size_t const slot = offset >> kSlotShift;
  SizeClass const& size_class = g_classes.classes[c];
  return g_arena.owner_word(slot) == (id | c << kBinShift) &&
         is_block_at(within_slab(offset, size_class), *slab_at(slot, size_class), size_class);
}

// The hot path takes what it finds; so a link that was overwritten, or a pointer that was no block when it was freed,
// may have come to stand here.
void Heap::check_head(std::uint32_t c) const noexcept {
  FreeBlock* const head = bins[c].head;
  if (head == nullptr || is_mine(head, c)) [[likely]]
    return;
  if (g_arena.contains(g_arena.offset_of(head)) &&
      g_arena.owner_word(g_arena.offset_of(head) >> kSlotShift) == (id | c << kBinShift))
    report_bad_free(head);
  report_bad_link(nullptr, head);
}

// The blocks at the head of the list that come from the same slab, at most so many, go back to it as they are linked;
// how many. The head is a block, and so is what it leaves there.
std::uint32_t Heap::push_run(std::uint32_t c, std::uint32_t most) noexcept {
  Bin& bin = bins[c];
  SizeClass const& size_class = g_classes.classes[c];
  FreeBlock* const head = bin.head;
  Slab* const slab = slab_at(g_arena.offset_of(head) >> kSlotShift, size_class);
  BlocksOf const blocks(*slab, size_class);
  std::uint32_t const out = slab->blocks_out();  // no more can come back: so a list that has no end is found out
  FreeBlock* tail = head;
  std::uint32_t count = 1;
  for (std::uint32_t const end = min(most, out); count < end && blocks.contain(tail->next); ++count) tail = tail->next;
  FreeBlock* const next = tail->next;
  if (next != nullptr) {
    if (!is_mine(next, c)) [[unlikely]]
      report_bad_link(tail, next);
    // Freed twice in a row, or with one other between.
    if (next == tail || next->next == tail) [[unlikely]]
      report_returned_twice(*slab, head);
  }
  if (count > out || (count == out && count < most && blocks.contain(next))) [[unlikely]]
    report_returned_twice(*slab, head);
  bin.head = next;
  bin.room += static_cast<std::int32_t>(count);
  push_chain(slab, head, tail, count);
  return count;
}

void Heap::uncount(std::uint32_t c) noexcept {
  FreeBlock* const head = counted(c).head;
  if (head == nullptr) return;
  FreeBlock* tail = head;
  std::int32_t count = 1;
  for (; tail->next != nullptr; ++count) {
    if (!is_mine(tail->next, c)) report_bad_link(tail, tail->next);
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
  check_head(c);
  Bin& bin = bins[c];
  while (bin.head != nullptr) static_cast<void>(push_run(c, ~std::uint32_t{0}));
  bin.room = bin.limit;
}

}  // namespace stealth
