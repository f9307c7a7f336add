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

// What stood in a list of the class: its slab, null where it is no block of this heap's.
inline Heap::Found Heap::find(FreeBlock const* link, SizeClass const& c, std::uint32_t word) noexcept {
  std::size_t const offset = g_arena.offset_of(link);
  if (!g_arena.contains(offset) || g_arena.owner_word(offset >> kSlotShift) != word) return {};
  std::size_t const within = within_slab(offset, c);
  auto* const slab = static_cast<Slab*>(g_arena.run_at((offset - within) >> kSlotShift));
  if (c.exact_index_of(within) >= slab->carved) return {};
  return {slab, reinterpret_cast<std::uintptr_t>(link) - within};
}

// The same of the list's first, which may be there because the hot path takes what it finds: a link that was
// overwritten, or a pointer that was no block when it was freed.
Heap::Found Heap::find_head(std::uint32_t c) const noexcept {
  FreeBlock* const head = bins[c].head;
  if (Found const found = find(head, g_classes.classes[c], word_of(c)); found.slab != nullptr) [[likely]]
    return found;
  std::size_t const offset = g_arena.offset_of(head);
  if (g_arena.contains(offset) && g_arena.owner_word(offset >> kSlotShift) == word_of(c)) report_bad_free(head);
  report_bad_link(nullptr, head);
}

// At most so many blocks of the list go back to their slabs, those of the same slab that follow each other as they are
// linked; how many.
std::uint32_t Heap::push_back(std::uint32_t c, std::uint32_t most) noexcept {
  Bin& bin = bins[c];
  SizeClass const& size_class = g_classes.classes[c];
  std::uint32_t const word = word_of(c);
  std::uint32_t pushed = 0;
  for (Found at = bin.head != nullptr ? find_head(c) : Found{}; at.slab != nullptr && pushed < most;) {
    Slab* const slab = at.slab;
    FreeBlock const* const free_already = slab->free;
    std::uint32_t const carved = slab->carved;
    std::uint32_t const end = min(most - pushed, carved);  // so a list that has no end is found out
    FreeBlock* const head = bin.head;
    FreeBlock *tail = head, *next = head->next;
    std::uint32_t count = 1;
    bool is_of_slab = false;
    while (size_class.exact_index_of(reinterpret_cast<std::uintptr_t>(next) - at.start) < carved) {
      is_of_slab = count == end || next == free_already;
      if (is_of_slab) break;
      tail = next;
      next = next->next;
      ++count;
    }
    if (is_of_slab) {
      // Too many; or one twice in a row, or with another between.
      if (count >= slab->blocks_out() || next == free_already || next == tail || next->next == tail) [[unlikely]]
        report_returned_twice(*slab, head);
    } else if (next != nullptr) {
      at = find(next, size_class, word);
      if (at.slab == nullptr) [[unlikely]]
        report_bad_link(tail, next);
    } else {
      at = {};
    }
    bin.head = next;
    push_chain(slab, head, tail, count);
    pushed += count;
  }
  bin.room += static_cast<std::int32_t>(pushed);
  return pushed;
}

void Heap::uncount(std::uint32_t c) noexcept {
  FreeBlock* const head = counted(c).head;
  if (head == nullptr) return;
  FreeBlock* tail = head;
  std::int32_t count = 1;
  for (; tail->next != nullptr; ++count) {
    if (find(tail->next, g_classes.classes[c], word_of(c)).slab == nullptr) report_bad_link(tail, tail->next);
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
