// What is said of a broken program before it ends, and what the slow path asks of links that it reads out of free
// blocks: a program that goes on writing to what it has freed writes there.
#pragma once

#include "engine/slab.hpp"

namespace stealth {

// A pointer that the program gave to be freed leads to no allocation.
[[noreturn]] void report_bad_free(void* p) noexcept;
// The same of one that it asks the size of, or wants to be resized.
[[noreturn]] void report_bad_use(void* p) noexcept;
[[noreturn]] void report_double_free(void const* p, std::size_t block) noexcept;
// One that is free and known to be a block.
[[noreturn]] void report_use_after_free(void const* p, std::size_t block) noexcept;
// What stands in a free block, or, where that is null, at the head of a list, is no block that could follow there.
[[noreturn]] void report_bad_link(void const* holder, void const* link) noexcept;
// A free block holds what libstealth has not written there.
[[noreturn]] void report_written(void const* block) noexcept;
// Of a chain of a slab's blocks that come back to it, or, where that is null, of its own: some come twice, or are free
// already.
[[noreturn]] void report_returned_twice(Slab const& slab, FreeBlock const* chain) noexcept;

// The blocks of a slab that were cut.
class BlocksOf {
 public:
  BlocksOf(Slab const& slab, SizeClass const& c) noexcept
      : start_(reinterpret_cast<std::uintptr_t>(g_arena.memory_of(&slab))), carved_(slab.carved), c_(c) {}
  [[nodiscard]] bool contain(void const* link) const noexcept {
    return c_.exact_index_of(reinterpret_cast<std::uintptr_t>(link) - start_) < carved_;
  }

 private:
  std::uintptr_t start_;
  std::uint32_t carved_;
  SizeClass const& c_;
};

// A slab's chain is about to be used: its first link is looked at before it leads astray.
inline void check_first_link(Slab const& slab, SizeClass const& c) noexcept {
  FreeBlock const* const head = slab.free;
  FreeBlock const* const next = head->next;
  bool const is_good = slab.chained() == 1 ? next == nullptr : next != head && BlocksOf{slab, c}.contain(next);
  if (!is_good) [[unlikely]]
    report_bad_link(head, next);
}

}  // namespace stealth
