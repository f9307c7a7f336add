// Size classes: which block size serves a request. Built once at start from the built-in ladder or the configured list.
#pragma once

#include <atomic>
#include <cstddef>
#include <cstdint>

#include "arena/arena.hpp"

namespace stealth {

// Classes are numbered from 1. Class 0 is "no class": its thread list is always empty, so that whoever asks for it
// falls into the slow path.
inline constexpr std::uint32_t kClasses = 64;
// The largest block that is cut from a slab; larger requests get spans of their own.
inline constexpr std::size_t kMaxSmall = 32 * kKiB;
inline constexpr std::uint32_t kLargestSlab = kMostSlabBytes / kSlot;
// Spans of one of the ladder's steps up to here are kept in threads' lists as blocks are, behind the classes' own.
inline constexpr std::size_t kMaxListed = 256 * kKiB;
inline constexpr std::uint32_t kSpanLists = 12;
inline constexpr std::uint32_t kLists = kClasses + kSpanLists;
inline constexpr std::size_t kGranule = kMinAlignment;

// What a thread collects of one foreign slab's blocks in a batch (heap.hpp), at most.
inline constexpr std::size_t kBatchBytes = 2 * kKiB, kBatchBlocks = 64;

struct SizeClass {
  std::uint32_t block;       // bytes, a multiple of kGranule
  std::uint32_t slots;       // of a slab: a power of two (and aligned to it: a slab is found from any of its slots)
  std::uint32_t capacity;    // blocks in a slab
  std::uint32_t unit_pages;  // a slab's memory goes back by so many pages; at most 64 units are in a slab
  std::uint32_t first_limit, last_limit;  // blocks that a thread's list may hold, at first and at most
  std::uint32_t batch;                    // blocks of another heap's slab that a thread collects
  std::uint8_t twos;                      // block's trailing zeros
  bool shared;            // has a max or prealloc: one heap behind a lock serves all threads, and its counts are exact
  std::uint64_t inverse;  // reciprocal_of(block): exact for every offset in a slab
  std::uint64_t odd_inverse;  // (block >> twos) * odd_inverse == 1 modulo 2^64
  std::uint64_t max;          // blocks in use at most; 0: no limit
  std::uint64_t prealloc;     // blocks mapped and touched at start

  [[nodiscard]] std::uint32_t index_of(std::size_t offset) const { return divide_by_reciprocal(offset, inverse); }
  // The index of the block that begins at an offset; where none does, more than any block's.
  [[nodiscard]] std::uint64_t exact_index_of(std::size_t offset) const {
    std::uint64_t const product = offset * odd_inverse;
    return product >> twos | product << (64 - twos);
  }
};

// What serves requests of lo < size <= hi beyond kMaxSmall.
struct SpanRule {
  std::size_t lo = 0, hi = 0;
  bool exact = false;      // every block is hi bytes; else the next ladder step, or (unrounded) whole pages
  bool unrounded = false;  // STEALTH_CLASSES=all
  std::uint64_t max = 0;   // 0: no limit
  std::uint64_t prealloc = 0;
  std::atomic<std::uint64_t> in_use{0};
  Mutex mutex{};  // guards the spans that prealloc keeps
  List<Run> kept{};
  std::uint64_t kept_count = 0;
};
inline constexpr std::uint32_t kSpanRules = 32;

// How stalls are told apart: size classes by their number, rules with a max after them; all other large blocks are 0.
static_assert(kClasses + kSpanRules <= kStallKinds);

struct ClassList {
  SizeClass classes[kClasses] = {};  // [0] unused
  std::uint32_t count = 1;
  SpanRule rules[kSpanRules] = {};
  std::uint32_t rule_count = 0;

  [[nodiscard]] std::uint32_t stall_kind(SpanRule const& rule) const {
    return rule.max == 0 ? 0 : kClasses + static_cast<std::uint32_t>(&rule - rules);
  }
  [[nodiscard]] SpanRule* rule_for(std::size_t size) {
    for (std::uint32_t i = 0; i < rule_count; ++i) {
      if (size > rules[i].lo && size <= rules[i].hi) return &rules[i];
    }
    return nullptr;
  }
};

extern constinit ClassList g_classes;
// For each (size + 15) / 16 where in a heap the list of its class stands, in bytes from class 0's: so malloc's hit has
// nothing to multiply. All zero before the start, so that the first call of all is slow, and while threads are called
// in (flush.cpp).
inline constexpr std::uint32_t kBinShift = 4;  // log2 of sizeof(Bin)
inline constexpr std::size_t kClassesBySize = kMaxSmall / kGranule + 1;
extern constinit std::uint16_t g_bin_of[kClassesBySize + kSpanLists];  // those of spans in the end
// The classes, whatever is going on.
extern constinit std::uint8_t g_serving[kClassesBySize];

[[nodiscard]] inline std::size_t bin_of(std::size_t size) {
  return __atomic_load_n(&g_bin_of[(size + kGranule - 1) / kGranule], __ATOMIC_RELAXED);
}
// Of kMaxSmall < size <= kMaxListed: which of the span lists, and the step of the ladder that is kept there.
[[nodiscard]] inline std::uint32_t span_list(std::size_t size) {
  auto const exponent = static_cast<std::uint32_t>(63 ^ __builtin_clzll(size - 1));
  return exponent * 4 + static_cast<std::uint32_t>((size - 1) >> (exponent - 2)) - 64;
}
[[nodiscard]] constexpr std::size_t bytes_in_list(std::uint32_t list) {
  return (std::size_t{5} + list % 4) << (13 + list / 4);
}
static_assert(bytes_in_list(0) == kMaxSmall / 4 * 5 && bytes_in_list(kSpanLists - 1) == kMaxListed);
[[nodiscard]] inline std::size_t bin_of_span(std::size_t size) {
  return __atomic_load_n(&g_bin_of[kClassesBySize + span_list(size)], __ATOMIC_RELAXED);
}
[[nodiscard]] inline std::uint32_t class_of(std::size_t size) {
  return static_cast<std::uint32_t>(bin_of(size) >> kBinShift);
}
[[nodiscard]] inline std::uint32_t serving_class(std::size_t size) {
  return g_serving[(size + kGranule - 1) / kGranule];
}

// The built-in ladder: 16…128 by 16, then four steps to a doubling, without end.
[[nodiscard]] std::size_t ladder_step(std::size_t size);        // the smallest step >= size
[[nodiscard]] std::size_t ladder_step_below(std::size_t size);  // the largest step < size, or 0

// One request of the user's: blocks of exactly `hi` bytes, or, with `ladder`, every ladder step from lo to hi.
struct ClassRequest {
  std::size_t lo, hi;
  bool ladder;
  std::uint64_t max, prealloc;
};
// Adds classes; the table is written by publish_classes(). False: more classes than there is room for.
[[nodiscard]] bool add_classes(ClassRequest const& request);
[[nodiscard]] bool add_all_classes();
void publish_classes();
// Sends every malloc to the slow path, and ends that.
void hide_classes() noexcept;
void show_classes(std::size_t below = ~std::size_t{0}) noexcept;  // for requests of fewer bytes
// From the next show_classes() on, malloc looks at the lists of counted blocks (sampling.hpp) for requests of fewer
// bytes than this, and for those of spans comes to the slow path if they are among them.
void count_requests_below(std::size_t bytes) noexcept;
extern constinit std::atomic<std::size_t> g_counted_below;
[[nodiscard]] inline bool is_counted(std::size_t size) {
  return size < g_counted_below.load(std::memory_order_relaxed);
}

}  // namespace stealth
