// The shadow of a block: a pattern over every byte that its owner may use, told from every other block's, so that two
// blocks that overlap, one that was moved wrongly or one that somebody else wrote to cannot keep theirs.
#pragma once

#include <atomic>
#include <cstddef>
#include <cstdint>
#include <cstring>

// The patterns are most of what a target does: with a sanitizer's check at each word it would do little else. TSan's
// stay, since a block with two owners at once is what it would find.
#ifdef __clang__
#define FUZZ_PLAIN __attribute__((no_sanitize("address", "undefined", "coverage")))
#else
#define FUZZ_PLAIN __attribute__((no_sanitize_address, no_sanitize_undefined))
#endif

namespace fuzz {

// Never 0, and never the same twice.
inline std::uint64_t new_seed() {
  static std::atomic<std::uint64_t> count{0};
  return (count.fetch_add(1, std::memory_order_relaxed) + 1) * 0x9E3779B97F4A7C15u;
}

FUZZ_PLAIN inline __attribute__((always_inline)) std::uint64_t pattern_word(std::uint64_t seed, std::size_t index) {
  return (seed + index) * 0xD1B54A32D192ED03u | 1;
}

FUZZ_PLAIN inline void fill(void* block, std::size_t size, std::uint64_t seed) {
  auto* const at = static_cast<unsigned char*>(block);
  for (std::size_t place = 0; place < size; place += 8) {
    std::uint64_t const word = pattern_word(seed, place / 8);
    if (size - place >= 8) {
      __builtin_memcpy(at + place, &word, 8);
    } else {
      for (std::size_t i = 0; i < size - place; ++i) at[place + i] = static_cast<unsigned char>(word >> (8 * i));
    }
  }
}

// Whether its first `size` bytes are still what fill() wrote.
[[nodiscard]] FUZZ_PLAIN inline bool holds(void const* block, std::size_t size, std::uint64_t seed) {
  auto const* const at = static_cast<unsigned char const*>(block);
  for (std::size_t place = 0; place < size; place += 8) {
    std::uint64_t const word = pattern_word(seed, place / 8);
    std::uint64_t there = 0;
    if (size - place >= 8) {
      __builtin_memcpy(&there, at + place, 8);
      if (there != word) return false;
    } else {
      for (std::size_t i = 0; i < size - place; ++i) {
        if (at[place + i] != static_cast<unsigned char>(word >> (8 * i))) return false;
      }
    }
  }
  return true;
}

[[nodiscard]] inline bool consists_of(void const* block, std::size_t size, unsigned char byte) {
  auto const* const at = static_cast<unsigned char const*>(block);
  return size == 0 || (at[0] == byte && std::memcmp(at, at + 1, size - 1) == 0);
}
[[nodiscard]] inline bool is_zero(void const* block, std::size_t size) { return consists_of(block, size, 0); }

[[nodiscard]] inline bool is_aligned(void const* block, std::size_t alignment) {
  return reinterpret_cast<std::uintptr_t>(block) % alignment == 0;
}

}  // namespace fuzz
