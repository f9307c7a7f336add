// Names what is wrong with a pointer that was to be freed, and ends the process: going on would corrupt somebody's
// memory.
#include "base/report.hpp"
#include "engine/guarding.hpp"
#include "engine/slow.hpp"

namespace stealth {

void report_bad_free(void* p) noexcept {
  std::size_t const offset = g_arena.offset_of(p);
  if (!g_arena.contains(offset)) die("invalid free: ", hex(p), " was never handed out");
  std::size_t const slot = offset >> kSlotShift;
  std::uint32_t const word = g_arena.owner_word(slot);
  if (Guard const* const guard = serving_guard(); guard != nullptr) guard->inside(p);
  if (is_span(word) || word == 0) {
    Run const* const run = g_arena.run_holding(slot);
    std::size_t const first = g_arena.slot_of(run);
    if (run->state == RunState::used && is_span(g_arena.owner_word(first))) {
      die("invalid free: ", hex(p), " is ", std::uint64_t{offset - (first << kSlotShift)},
          " bytes inside the large allocation at ", hex(g_arena.memory_of(run)));
    }
    die("double free: ", hex(p),
        " is not allocated: a large allocation freed before, or a block of a slab that was given back");
  }
  SizeClass const& c = g_classes.classes[list_in(word)];
  Slab const* const slab = slab_at(slot, c);
  char const* const start = g_arena.memory_of(slab);
  auto const within = static_cast<std::size_t>(static_cast<char const*>(p) - start);
  std::size_t const index = within / c.block;
  if (index >= slab->carved) {
    die("invalid free: ", hex(p), " was never handed out (size class ", c.block, ")");
  }
  die("invalid free: ", hex(p), " is ", std::uint64_t{within % c.block}, " bytes inside the block at ",
      hex(start + index * c.block), " (size class ", c.block, ")");
}

void report_double_free(void* p, std::size_t block) noexcept {
  die("double free: ", hex(p), " is free already (size class ", std::uint64_t{block}, ")");
}

}  // namespace stealth
