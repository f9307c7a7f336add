// The hot path of malloc and free, whole. It knows no modes: an uninitialised thread, a size that no class serves, a
// guarded or profiled process are all an empty list here, and only the slow path asks why.
//
//   allocate(size)
//     list of the size's class not empty -> pop                                              (the hit)
//     slow_allocate                                                                           slow.cpp
//       class 0 -> outside: not started yet, or a size that is not pooled -> next allocator   preload/outside.cpp
//       > 32 KiB -> span from the heap's cache or the arena                                   large.cpp
//       refill: slabs' free chains <- remote frees <- carve fresh blocks <- new slab          small.cpp, remote.cpp
//         the capacity is reached -> reclaim, wait, policy                                    slow.cpp,
//         capacity/budget.hpp
//
//   deallocate(p)
//     in our range, the slot's slab is mine, the list has room -> push                        (the hit)
//     slow_deallocate                                                                         slow.cpp
//       not in our range -> outside (null, bootstrap, next allocator)
//       the list is full -> push to the block's own slab; the last one empties the slab       small.cpp
//       another heap's -> batch by slab, posted by one compare-and-swap                       remote.cpp
//       a span -> cache or arena                                                              large.cpp
//
// A hit takes effect at one store to `head`, so that whoever looks at the list from a signal handler or a forked child
// finds it whole; `room` may be off by one there.
#pragma once

#include "engine/heap.hpp"

namespace stealth {

[[nodiscard]] void* slow_allocate(std::size_t size) noexcept;
void slow_deallocate(void* p) noexcept;

[[nodiscard]] inline __attribute__((always_inline)) void* allocate(std::size_t size) noexcept {
  if (size <= kMaxSmall) [[likely]] {
    Bin& bin = t_thread.heap->bins[class_of(size)];
    if (FreeBlock* const block = bin.head; block != nullptr) [[likely]] {
      FreeBlock* const next = block->next;
      bin.head = next;
      ++bin.room;
      __builtin_prefetch(next);
      return block;
    }
  }
  return slow_allocate(size);
}

inline __attribute__((always_inline)) void deallocate(void* p) noexcept {
  std::size_t const offset = g_arena.offset_of(p);
  if (g_arena.contains(offset)) [[likely]] {
    Heap* const heap = t_thread.heap;
    std::uint32_t const mine = g_arena.owner_word(offset >> kSlotShift) ^ heap->id;
    if (mine < kClasses) [[likely]] {
      Bin& bin = heap->bins[mine];
      if (--bin.room >= 0) [[likely]] {
        auto* const block = static_cast<FreeBlock*>(p);
        block->next = bin.head;
        bin.head = block;
        return;
      }
    }
  }
  slow_deallocate(p);
}

}  // namespace stealth
