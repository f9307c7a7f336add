// The hot path of malloc and free, whole. It knows no modes: an uninitialised thread, a size that no class serves, a
// guarded or profiled process are all an empty list here, and only the slow path asks why.
//
//   allocate(size)
//     list of the size's class not empty -> pop                                              (the hit)
//     slow_allocate                                                                           slow.cpp
//       class 0 -> outside: not started yet, or a size that is not pooled -> next allocator   preload/start.cpp
//       > 32 KiB -> pop from its span list, or a span from the arena                          large.cpp
//       refill: slabs' free chains <- remote frees <- carve fresh blocks <- new slab          small.cpp, remote.cpp
//         the capacity is reached -> reclaim, wait, policy                                    admission.cpp,
//         capacity/wait.hpp
//
//   deallocate(p)
//     in our range, the slot's slab is mine, the list has room -> push                        (the hit)
//     slow_deallocate                                                                         slow.cpp
//       a span that has a list, and there is room in it -> push                               (nearly a hit)
//       not in our range -> outside (null, bootstrap, next allocator)
//       the list is full -> push to the block's own slab; the last one empties the slab       small.cpp, lists.cpp
//       another heap's -> batch by slab, posted by owner with one compare-and-swap            remote.cpp
//       a span -> the arena                                                                   large.cpp
//
// A hit takes effect at one store to `head`, so that whoever looks at the list from a signal handler or a forked child
// finds it whole; `room` may be off by one there.
#pragma once

#include "engine/heap.hpp"

namespace stealth {

[[nodiscard]] void* slow_allocate(std::size_t size, std::size_t alignment) noexcept;
[[nodiscard]] void* allocate_large(std::size_t size) noexcept;  // of more than kMaxSmall
void slow_deallocate(void* p) noexcept;

// The hit, from the list at an offset of g_bin_of; null for a miss.
[[nodiscard]] inline __attribute__((always_inline)) void* pop_at(std::size_t offset) noexcept {
  Bin& bin = t_thread.heap->bin_at(offset);
  FreeBlock* block = bin.head;
  if (block == nullptr) [[unlikely]]
    return nullptr;
  asm("" : "+r"(block));  // or gcc gives the result's register to `bin`, and moves the block there in the end
  FreeBlock* const next = block->next;
  bin.head = next;
  ++bin.room;
  __builtin_prefetch(next);
  return block;
}

// The same for a size; null beyond kMaxSmall, too.
[[nodiscard]] inline __attribute__((always_inline)) void* pop(std::size_t size) noexcept {
  return size <= kMaxSmall ? pop_at(bin_of(size)) : nullptr;
}

[[nodiscard]] inline __attribute__((always_inline)) void* allocate(std::size_t size) noexcept {
  if (size > kMaxSmall) [[unlikely]]
    return allocate_large(size);
  if (void* const block = pop_at(bin_of(size)); block != nullptr) [[likely]]
    return block;
  return slow_allocate(size, kMinAlignment);
}

inline __attribute__((always_inline)) void push_to(Bin& bin, void* p) noexcept {
  auto* const block = static_cast<FreeBlock*>(p);
  block->next = bin.head;
  std::atomic_signal_fence(std::memory_order_release);
  bin.head = block;
}

// The hit; false: slow_deallocate() is to follow.
[[nodiscard]] inline __attribute__((always_inline)) bool push(void* p) noexcept {
  Heap* const heap = t_thread.heap;
  std::size_t const offset = heap->arena.offset_of(p);
  if (heap->arena.contains(offset)) [[likely]] {
    std::uint32_t const mine = heap->arena.owner_word(offset >> kSlotShift) ^ heap->id;
    if (mine < kBinBytes) [[likely]] {
      Bin& bin = heap->bin_at(mine);
      if (--bin.room >= 0) [[likely]] {
        push_to(bin, p);
        return true;
      }
    }
  }
  return false;
}

inline __attribute__((always_inline)) void deallocate(void* p) noexcept {
  if (!push(p)) slow_deallocate(p);
}

}  // namespace stealth
