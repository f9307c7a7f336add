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

// Blocks [0, carved) have been handed out at least once. Of those, the ones in `free` are the slab's; `hollow_blocks`
// are free as well, but in no chain, because they lie in pages that went back to the kernel (hollow.cpp); the others
// are with the program, in a thread's list, in a remote batch or in a RemoteChain on its way. The slab stands in its
// heap's partial list while `listed`, else, if it has hollow blocks, in the hollow list.
//
//   not listed:  free == null,  countdown == 1   (the next block that comes back lists the slab)
//   listed:      free holds carved - hollow_blocks - countdown blocks, countdown >= 1 are out   (the last one that
//   comes back empties the slab)
//
// so that one counter, reaching 0, tells both events.
struct Slab : Run {
  FreeBlock* free;
  std::uint32_t countdown;
  std::uint32_t carved;
  Heap* heap;
  std::uint8_t size_class;
  bool listed;
  std::uint8_t pushed_tick;     // of g_tick, when a block last came back
  bool looked_at;               // for hollow pages, and nothing has come back since
  std::uint32_t hollow_blocks;  // == the number of those that lie, or begin or end, in one of the hollow units
  std::uint64_t hollow;         // units of memory that went back, a bit each (SizeClass::unit_pages)

  // For other threads, while the owner carves on.
  [[nodiscard]] std::uint32_t carved_now() const { return __atomic_load_n(&carved, __ATOMIC_RELAXED); }
  [[nodiscard]] std::uint32_t free_blocks() const { return listed ? carved - countdown : hollow_blocks; }
  [[nodiscard]] std::uint32_t blocks_out() const { return listed ? countdown : carved - hollow_blocks; }
  [[nodiscard]] std::uint32_t chained() const { return free_blocks() - hollow_blocks; }  // in `free`
  [[nodiscard]] bool is_valid() const;
};
static_assert(sizeof(Slab) <= kRunStride);

// Blocks of one slab on their way back to its heap: a chain, and this in the last of them, which whoever puts them back
// has to write anyway.
struct RemoteChain : FreeBlock {  // `next` is the next chain
  std::uint32_t head;             // where the first block is, in bytes from the slab's start
  std::uint32_t count;
};
static_assert(sizeof(RemoteChain) <= kGranule);

// What a slot's map word says: a slab's word is its heap's id (a multiple of 2048) plus where in a heap its class's
// list stands (see g_bin_of); a span's is where its list stands in any heap, or kSpanWord, where there is none for it;
// 0 is nobody's, a span's in a list, too. A heap's id is never 0, so that `word ^ id < kBinBytes` says "mine, and in
// this list" at once.
inline constexpr std::uint32_t kBinBytes = kClasses << kBinShift;
inline constexpr std::uint32_t kIdShift = 11;
inline constexpr std::uint32_t kWithoutId = (1u << kIdShift) - 1;
inline constexpr std::uint32_t kSpanWord = kWithoutId;  // no list stands there
static_assert(kLists << kBinShift <= kSpanWord);
[[nodiscard]] inline std::uint32_t list_in(std::uint32_t word) { return (word & kWithoutId) >> kBinShift; }
[[nodiscard]] inline bool is_span(std::uint32_t word) { return list_in(word) >= kClasses; }
[[nodiscard]] inline bool is_listed_span(std::uint32_t word) { return word - kBinBytes < kSpanLists << kBinShift; }

// The slab that holds a slot: multi-slot slabs are aligned to their length.
[[nodiscard]] inline Slab* slab_at(std::size_t slot, SizeClass const& c) {
  return static_cast<Slab*>(g_arena.run_at(slot & ~std::size_t{c.slots - 1}));
}

// How far into its slab an offset in the range is.
[[nodiscard]] inline std::size_t within_slab(std::size_t offset, SizeClass const& c) {
  return offset & ((std::size_t{c.slots} << kSlotShift) - 1);
}

// Whether a block begins so many bytes from its slab's start, if the slab reaches so far.
[[nodiscard]] inline bool begins_block(std::size_t within, SizeClass const& c) {
  return c.exact_index_of(within) < c.capacity;
}
// Whether one begins there and was handed out once.
[[nodiscard]] inline bool is_block_at(std::size_t within, Slab const& slab, SizeClass const& c) {
  return c.exact_index_of(within) < slab.carved_now();
}

// The rest of a large allocation's descriptor.
struct Span : Run {
  std::uint32_t pages;   // handed out; the run may be longer
  std::uint32_t rule;    // index into g_classes.rules
  std::uint32_t sample;  // its number, where it is one (sampling.hpp); else 0
  std::uint32_t block;   // bytes of the small block in whose place it was handed out, to be a sample; else 0
};
static_assert(sizeof(Span) <= kRunStride);

}  // namespace stealth
