// The slabs that guarded blocks are cut from, and how one finds the way between a block, its record and its slab: by
// arithmetic, since the record is what everybody asks for.
#pragma once

#include "guard/canary.hpp"
#include "guard/lists.hpp"
#include "guard/state.hpp"

namespace stealth::guard {

struct Info : Record {
  Info* next;  // in quarantine; ready; free in its slab; on its way to its heap
};

// `away` blocks are with the program, in quarantine, ready or on their way there: carved == away + length of `free`.
struct GuardedSlab : Run {
  Heap* heap;
  Info* free;
  std::uint32_t carved, away;
  std::uint32_t size_class;
  bool listed;  // == free != null
  bool has_guards;

  [[nodiscard]] Info* infos() const noexcept { return reinterpret_cast<Info*>(g_arena.memory_of(this)); }
};
static_assert(sizeof(GuardedSlab) <= kRunStride);

// A slab is so long and aligned to it, whatever its blocks are.
inline constexpr std::uint32_t kSlabSlots = 16;
inline constexpr std::size_t kSlabBytes = kSlabSlots * kSlot;
// The class of requests for nothing: they get addresses that cannot be touched.
inline constexpr std::uint32_t kNothing = 0;
inline constexpr std::uint32_t kNoBlockClass = ~std::uint32_t{0};

// Of a class's slabs; all zero where there is no such class.
struct Shape {
  std::uint32_t block, capacity;
  std::uint32_t quarantine;  // freed blocks that a heap keeps from being handed out
  std::uint32_t first;       // where block 0 begins, in bytes from the slab's start
  std::uint64_t reciprocal;  // of `block`
};
extern constinit Shape g_shapes[kMostClasses];

void begin_slabs() noexcept;
// The smallest class whose blocks hold so much beside a canary, each so aligned; kNoBlockClass: none does.
[[nodiscard]] std::uint32_t aligned_class_for(std::size_t size, std::size_t alignment) noexcept;
inline constexpr std::size_t kGranules = (kMaxSmall + kCanaryBytes) / kGranule + 1;
extern constinit std::uint8_t g_class_of[kGranules + 1];
[[nodiscard]] inline std::uint32_t class_for(std::size_t size, std::size_t alignment) noexcept {
  if (alignment > kGranule) return aligned_class_for(size, alignment);
  return size == 0 ? kNothing : g_class_of[divide_up(size + kCanaryBytes, kGranule)];
}

// The same for a size that has been asked for before, at malloc's alignment, and that is nothing special; kNothing: it
// has not.
extern constinit std::atomic<std::uint8_t> g_quick_class[kMaxSmall / sizeof(Word) + 1];
[[nodiscard]] inline std::uint32_t quick_class_for(std::size_t size) noexcept {
  return size <= kMaxSmall ? g_quick_class[divide_up(size, sizeof(Word))].load(std::memory_order_relaxed) : kNothing;
}
inline void learn_quick_class(std::size_t size, std::uint32_t c) noexcept {
  g_quick_class[divide_up(size, sizeof(Word))].store(static_cast<std::uint8_t>(c), std::memory_order_relaxed);
}

// --- from one to the other ---

[[nodiscard]] inline GuardedSlab* slab_at(std::size_t slot) noexcept {
  return static_cast<GuardedSlab*>(g_arena.run_at(slot & ~std::size_t{kSlabSlots - 1}));
}
[[nodiscard]] inline GuardedSlab* slab_of(Info const* info) noexcept {
  return slab_at(g_arena.offset_of(info) >> kSlotShift);
}
[[nodiscard]] inline char* block_at(GuardedSlab const* slab, std::uint32_t index) noexcept {
  Shape const& shape = g_shapes[slab->size_class];
  return g_arena.memory_of(slab) + shape.first + std::size_t{index} * shape.block;
}
// Where the block of a record begins, given its class: without a look at its slab.
[[nodiscard]] inline char* start_of(Info const* info, Shape const& shape) noexcept {
  std::size_t const within = g_arena.offset_of(info) % kSlabBytes;
  auto* const slab = reinterpret_cast<char*>(const_cast<Info*>(info)) - within;
  return slab + shape.first + within / sizeof(Info) * shape.block;
}

// --- the caller holds the heap's lock ---

// A block that was never handed out; and those that come at no further page become ready, of which there are none.
[[nodiscard]] Outcome carve(Heap& heap, BlockList& mine, std::uint32_t c, Charge& charge, Info*& info) noexcept;
// Free blocks of a slab become ready, a few at once.
void make_ready(BlockList& mine) noexcept;
// It has been in quarantine for long enough.
void put_back(BlockList& mine, Info* info) noexcept;
// If the slab that is being carved has no block away, it is as good as any other.
void retire_carving(BlockList& mine) noexcept;

}  // namespace stealth::guard
