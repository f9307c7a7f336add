// Pages inside of slabs: where all blocks of a page are free, it goes back to the kernel though other pages of its slab
// are in use. Its blocks leave the chain (a link would touch the page again) and are found again by the slab's mask,
// page by page, when the class has no other free blocks.
//
// Memory goes by units, so that a word has a bit for each: a page, or two in the largest slabs. A block is hollow when
// it lies in a hollow unit, wholly or by a part; all of them are free, and in no chain.
#include "engine/hollow.hpp"

#include <utility>

#include "base/check.hpp"
#include "engine/faults.hpp"
#include "os/os.hpp"

namespace stealth {

constinit std::atomic<std::uint8_t> g_tick{0};

namespace {

// Growing looks for pages when free blocks are so much of what the heap has in slabs, and again after it has grown by
// so much of it; and not for less than this. Only the peak is to be lowered so: a little below the last one, memory
// would go to the kernel only to come back.
constexpr std::uint64_t kFreeShare = 4, kGrownShare = 16, kWorthLooking = 2 * kMiB;
constexpr std::uint64_t kNearThePeak = 64;
// A slab with more blocks out, for each of its units, is not worth a look: hardly any unit would be free, and the look
// takes as long as its chain is.
constexpr std::uint32_t kMostOut = 1;

constexpr std::uint32_t kLine = 64;

constexpr std::uint64_t bits(std::uint32_t from, std::uint32_t to) {  // [from, to)
  return (to == 64 ? ~std::uint64_t{0} : (std::uint64_t{1} << to) - 1) & ~((std::uint64_t{1} << from) - 1);
}

// A slab's geometry.
struct Units {
  Slab const& slab;
  SizeClass const& c;
  std::size_t unit = c.unit_pages * kPage;

  // Only units that are carved whole, or in which a full slab ends.
  [[nodiscard]] std::uint32_t count() const {
    std::size_t const end = std::size_t{slab.carved} * c.block;
    return static_cast<std::uint32_t>(slab.carved == c.capacity ? divide_up(end, unit) : end / unit);
  }
  [[nodiscard]] std::uint64_t of_block(std::uint32_t i) const {
    std::size_t const begin = std::size_t{i} * c.block;
    return bits(static_cast<std::uint32_t>(begin / unit), static_cast<std::uint32_t>((begin + c.block - 1) / unit) + 1);
  }
  // The blocks [first, end) that lie in a unit, wholly or by a part.
  [[nodiscard]] std::uint32_t first_in(std::uint32_t u) const { return c.index_of(u * unit); }
  [[nodiscard]] std::uint32_t end_in(std::uint32_t u) const {
    return min(c.index_of((u + 1) * unit - 1) + 1, slab.carved);
  }
  [[nodiscard]] std::uint32_t index_of(FreeBlock const* block) const {
    return c.index_of(static_cast<std::size_t>(reinterpret_cast<char const*>(block) - g_arena.memory_of(&slab)));
  }
  [[nodiscard]] FreeBlock* block(std::uint32_t i) const {
    return reinterpret_cast<FreeBlock*>(g_arena.memory_of(&slab) + std::size_t{i} * c.block);
  }
};

// The units all of whose blocks are free.
std::uint64_t free_units(Slab const& slab, SizeClass const& c) {
  Units const units{slab, c};
  std::uint32_t const count = units.count();
  std::uint16_t in_use[64];  // blocks of each unit
  for (std::uint32_t u = 0; u < count; ++u) {
    std::uint32_t const first = units.first_in(u), end = units.end_in(u);
    std::uint32_t hollow = 0;  // only at its edges, as long as it is not hollow itself
    if (first < end && (units.of_block(first) & slab.hollow) != 0) ++hollow;
    if (end - first > 1 && (units.of_block(end - 1) & slab.hollow) != 0) ++hollow;
    in_use[u] = static_cast<std::uint16_t>(end - first - hollow);
  }
  // The chain jumps about in memory that is long cold: asked for in order it comes several times as fast.
  char const* const end = g_arena.memory_of(&slab) + std::size_t{slab.carved} * c.block;
  for (char const* at = g_arena.memory_of(&slab); at < end; at += max(c.block, kLine)) __builtin_prefetch(at);
  BlocksOf const blocks(slab, c);
  std::uint32_t to_come = slab.chained();
  FreeBlock const* before = nullptr;
  for (FreeBlock const* block = slab.free; block != nullptr; before = std::exchange(block, block->next)) {
    if (!blocks.contain(block)) [[unlikely]]
      report_bad_link(before, block);
    if (to_come-- == 0) [[unlikely]]
      report_returned_twice(slab, nullptr);
    for (std::uint64_t left = units.of_block(units.index_of(block)); left != 0; left &= left - 1) {
      auto const u = static_cast<std::uint32_t>(__builtin_ctzll(left));
      if (u < count) --in_use[u];
    }
  }
  if (to_come != 0) report_bad_link(before, nullptr);
  std::uint64_t free = 0;
  for (std::uint32_t u = 0; u < count; ++u) {
    if (in_use[u] == 0) free |= std::uint64_t{1} << u;
  }
  return free & ~slab.hollow;
}

// Takes the blocks that lie in `gone` out of the chain; how many.
std::uint32_t unchain(Slab& slab, SizeClass const& c, std::uint64_t gone) {
  Units const units{slab, c};
  std::uint32_t count = 0;
  FreeBlock** link = &slab.free;
  for (FreeBlock* block = slab.free; block != nullptr;) {
    FreeBlock* const next = block->next;
    if ((units.of_block(units.index_of(block)) & gone) != 0) {
      ++count;
    } else {
      *link = block;
      link = &block->next;
    }
    block = next;
  }
  *link = nullptr;
  return count;
}

// A chain of the blocks that lie in `units`, which are hollow no more, and in none that still is.
std::uint32_t chain(Slab& slab, SizeClass const& c, std::uint64_t filled, FreeBlock*& head) {
  Units const units{slab, c};
  auto const lowest = static_cast<std::uint32_t>(__builtin_ctzll(filled));
  auto const highest = static_cast<std::uint32_t>(63 - __builtin_clzll(filled));
  std::uint32_t count = 0;
  for (std::uint32_t i = units.end_in(highest); i-- > units.first_in(lowest);) {
    if ((units.of_block(i) & slab.hollow) != 0 || (units.of_block(i) & filled) == 0) continue;
    FreeBlock* const block = units.block(i);
    block->next = head;
    head = block;
    ++count;
  }
  return count;
}

}  // namespace

bool is_hollow(Slab const& slab, SizeClass const& c, std::uint32_t block) noexcept {
  return (Units{slab, c}.of_block(block) & slab.hollow) != 0;
}

std::uint32_t count_hollow(Slab const& slab) noexcept {
  SizeClass const& c = g_classes.classes[slab.size_class];
  std::uint32_t count = 0;
  for (std::uint32_t i = 0; slab.hollow != 0 && i < slab.carved; ++i) count += is_hollow(slab, c, i) ? 1 : 0;
  return count;
}

// The blocks leave the chain first: their links are gone with the pages. Where the kernel refuses they come back.
std::uint32_t Heap::hollow_out(Slab* slab, std::uint64_t units) noexcept {
  SizeClass const& c = g_classes.classes[slab->size_class];
  std::uint32_t const removed = unchain(*slab, c, units);
  slab->hollow |= units;
  slab->hollow_blocks += removed;
  std::uint32_t given_back = removed;
  for (std::uint64_t left = units; left != 0;) {
    auto const from = static_cast<std::uint32_t>(__builtin_ctzll(left));
    std::uint64_t const ones = left >> from;
    auto const length = ones == ~std::uint64_t{0} ? 64 : static_cast<std::uint32_t>(__builtin_ctzll(~ones));
    std::uint64_t const run = bits(from, from + length);
    left &= ~run;
    if (g_arena.purge_pages(slab, from * c.unit_pages, (from + length) * c.unit_pages)) continue;
    slab->hollow &= ~run;
    std::uint32_t const back = chain(*slab, c, run, slab->free);
    slab->hollow_blocks -= back;
    given_back -= back;
  }
  chained_bytes -= std::uint64_t{given_back} * c.block;
  if (slab->free == nullptr) unlist(slab);
  return given_back;
}

std::uint32_t Heap::hollow_out(std::uint32_t ticks, std::uint32_t most) noexcept {
  std::uint32_t slabs = 0;
  for (std::uint32_t k = 1; k < g_classes.count && slabs < most; ++k) {
    SizeClass const& c = g_classes.classes[k];
    if (c.shared) continue;
    for (Slab* slab = classes[k].partial.back(); slab != nullptr && slabs < most;) {
      Slab* const next = List<Slab>::previous(slab);
      if (!slab->looked_at && ticks_have_passed(slab->pushed_tick, ticks)) {
        slab->looked_at = true;
        bool const promises = slab->countdown <= kMostOut * Units{*slab, c}.count();
        std::uint64_t const units = promises ? free_units(*slab, c) : 0;
        if (units != 0 && hollow_out(slab, units) != 0) ++slabs;
      }
      slab = next;
    }
  }
  return slabs;
}

void Heap::hollow_out_when_growing() noexcept {
  if (chained_bytes < max(slab_bytes / kFreeShare, kWorthLooking)) return;
  if (fresh_bytes < slab_bytes / kGrownShare + kWorthLooking) return;
  fresh_bytes = 0;
  std::uint64_t const peak = g_budget.peak_held();
  if (g_budget.held() < peak - peak / kNearThePeak) return;
  static_cast<void>(hollow_out(0, ~std::uint32_t{0}));
}

// The first hollow block, and what else lies in its units.
Outcome Heap::fill(Slab* slab, Charge& charge, FreeBlock*& head, std::uint32_t& count) noexcept {
  SizeClass const& c = g_classes.classes[slab->size_class];
  Units const units{*slab, c};
  auto const lowest = static_cast<std::uint32_t>(__builtin_ctzll(slab->hollow));
  std::uint64_t const wanted = (units.of_block(units.first_in(lowest)) | std::uint64_t{1} << lowest) & slab->hollow;
  auto const end = static_cast<std::uint32_t>(64 - __builtin_clzll(wanted));
  if (!g_arena.touch(slab, lowest * c.unit_pages, end * c.unit_pages, charge)) return Outcome::over_capacity;
  fresh_bytes += std::size_t{end - lowest} * c.unit_pages * kPage;
  slab->hollow &= ~wanted;
  count = chain(*slab, c, wanted, head);
  slab->hollow_blocks -= count;
  STEALTH_CHECK(count != 0);
  if (slab->hollow_blocks == 0) classes[slab->size_class].hollow.remove(slab);
  return Outcome::done;
}

}  // namespace stealth
