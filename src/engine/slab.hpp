// A slab: a few slots cut into blocks of one size, owned by one heap.
#pragma once

#include <atomic>
#include <cstdint>

#include "arena/arena.hpp"
#include "engine/classes.hpp"

namespace stealth {

struct Heap;

// A free block's first word is the next free block.
struct FreeBlock {
  FreeBlock* next;
};

// Blocks [0, carved) have been handed out at least once. Of those, the ones in `free` are the slab's; the others are
// with the program, in a thread's list, in a remote batch or in `remote`. The slab stands in its heap's partial list
// while `listed`.
//
//   not listed:  free == null,  countdown == 1   (the next block that comes back lists the slab)
//   listed:      free holds carved - countdown blocks, countdown >= 1 are out   (the last one that comes back empties
//   the slab)
//
// so that one counter, reaching 0, tells both events.
struct Slab : Run {
  FreeBlock* free;
  std::uint32_t countdown;
  std::uint32_t carved;
  Heap* heap;
  std::uint8_t size_class;
  bool listed;

  // Written by other threads: the blocks that they have freed, packed (see RemoteChain), and the heap's queue of such
  // slabs.
  alignas(64) std::atomic<std::uint64_t> remote;
  Slab* next_queued;

  // For other threads, while the owner carves on.
  [[nodiscard]] std::uint32_t carved_now() const { return __atomic_load_n(&carved, __ATOMIC_RELAXED); }
  [[nodiscard]] std::uint32_t free_blocks() const { return listed ? carved - countdown : 0; }
  [[nodiscard]] bool is_valid() const;
};
static_assert(sizeof(Slab) <= kRunStride);

// A chain of free blocks of one slab in one word: where it begins and ends (in granules from the slab's start) and how
// long it is.
struct RemoteChain {
  std::uint32_t head, tail, count;

  static constexpr std::uint32_t kBits = 20;
  static constexpr std::uint64_t kMask = (std::uint64_t{1} << kBits) - 1;
  static_assert(kLargestSlab * kSlot / kGranule <= kMask);

  [[nodiscard]] std::uint64_t pack() const {
    return std::uint64_t{head} | std::uint64_t{tail} << kBits | std::uint64_t{count} << 2 * kBits;
  }
  [[nodiscard]] static RemoteChain unpack(std::uint64_t word) {
    return {static_cast<std::uint32_t>(word & kMask), static_cast<std::uint32_t>(word >> kBits & kMask),
            static_cast<std::uint32_t>(word >> 2 * kBits)};
  }
};

// What a slot's map word says: a slab's word is its heap's id (a multiple of 256) plus its class; a span's is
// kSpanWord; 0 is nobody's. A heap's id is never 0, so that `word ^ id < kClasses` says "mine, and of this class" at
// once.
inline constexpr std::uint32_t kIdShift = 8;
inline constexpr std::uint32_t kSpanWord = 0xFF;
[[nodiscard]] inline std::uint32_t class_in(std::uint32_t word) { return word & ((1u << kIdShift) - 1); }

// The slab that holds a slot: multi-slot slabs are aligned to their length.
[[nodiscard]] inline Slab* slab_at(std::size_t slot, SizeClass const& c) {
  return static_cast<Slab*>(g_arena.run_at(slot & ~std::size_t{c.slots - 1}));
}

// The rest of a large allocation's descriptor.
struct Span : Run {
  std::uint32_t pages;  // handed out; the run may be longer
  std::uint32_t rule;   // index into g_classes.rules
};
static_assert(sizeof(Span) <= kRunStride);

}  // namespace stealth
