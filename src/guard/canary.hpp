// What stands in memory that nobody may write: eight bytes, drawn at start, none of them zero, over and over, so that
// which byte belongs where follows from its address; zeros, where a block is free; and what is in one that nobody has
// written yet. By words: allocations begin and end at whole ones but for the bytes that were asked for.
#pragma once

#include <bit>
#include <cstddef>
#include <cstdint>
#include <cstring>

#include "base/units.hpp"

namespace stealth::guard {

using Word = std::uint64_t;
inline constexpr std::size_t kCanaryBytes = sizeof(Word);
static_assert(std::endian::native == std::endian::little);

inline constinit Word g_canary = 0;  // written once, before the first block is handed out
// No pointer, no small number, and not zero.
inline constexpr Word kUninitialised = 0xA5A5'A5A5'A5A5'A5A5u;

[[nodiscard]] inline unsigned char canary_at(void const* address) noexcept {
  return static_cast<unsigned char>(g_canary >> reinterpret_cast<std::uintptr_t>(address) % sizeof(Word) * 8);
}

[[nodiscard]] inline Word load(char const* from) noexcept {
  Word word = 0;
  std::memcpy(&word, from, sizeof word);
  return word;
}
inline void store(char* to, Word word) noexcept { std::memcpy(to, &word, sizeof word); }

// Two at once, as every machine known here has them.
using Wide = Word __attribute__((vector_size(2 * sizeof(Word))));
[[nodiscard]] inline Wide load_wide(char const* from) noexcept {
  Wide wide;
  std::memcpy(&wide, from, sizeof wide);
  return wide;
}
inline void store_wide(char* to, Wide wide) noexcept { std::memcpy(to, &wide, sizeof wide); }
// Four of those, the unit in which longer ranges are done: the last one may cover what was done before.
inline constexpr std::ptrdiff_t kFour = 4 * sizeof(Wide);
[[nodiscard]] inline Wide any_of_four(char const* from) noexcept {
  return (load_wide(from) | load_wide(from + 16)) | (load_wide(from + 32) | load_wide(from + 48));
}
inline void store_four(char* to, Wide wide) noexcept {
  store_wide(to, wide);
  store_wide(to + 16, wide);
  store_wide(to + 32, wide);
  store_wide(to + 48, wide);
}
[[nodiscard]] inline bool is_zero(Wide wide) noexcept { return (wide[0] | wide[1]) == 0; }

// Both at whole words, from here on.
[[nodiscard]] inline std::size_t wides_in(char const* from, char const* to) noexcept {
  return static_cast<std::size_t>(to - from) / sizeof(Wide);
}
inline void fill_words(char* from, char const* to, Word word) noexcept {
  Wide const wide = {word, word};
  if (to - from >= kFour) {
    store_four(const_cast<char*>(to) - kFour, wide);
    for (; to - from > kFour; from += kFour) store_four(from, wide);
    return;
  }
  for (std::size_t left = wides_in(from, to); left != 0; --left, from += sizeof(Wide)) store_wide(from, wide);
  if (from != to) store(from, word);
}
[[nodiscard]] inline bool are_words(char const* from, char const* to, Word word) noexcept {
  Wide differs = {};
  for (std::size_t left = wides_in(from, to); left != 0; --left, from += sizeof(Wide))
    differs |= load_wide(from) ^ Wide { word, word };
  return is_zero(differs) && (from == to || load(from) == word);
}

// The bytes of a word that lie at or behind `from`, where that is inside of it.
[[nodiscard]] inline Word mask_from(char const* from) noexcept {
  return ~Word{0} << reinterpret_cast<std::uintptr_t>(from) % sizeof(Word) * 8;
}
[[nodiscard]] inline char* word_of(char* address) noexcept {
  return address - reinterpret_cast<std::uintptr_t>(address) % sizeof(Word);
}
[[nodiscard]] inline char const* word_of(char const* address) noexcept { return word_of(const_cast<char*>(address)); }

// Canaries from any byte on up to a whole word.
inline void fill_canary(char* from, char const* to) noexcept {
  if (from == to) return;
  char* const first = word_of(from);
  Word const mask = mask_from(from);
  store(first, (load(first) & ~mask) | (g_canary & mask));
  fill_words(first + sizeof(Word), to, g_canary);
}
// The same range, whether it is as it was.
[[nodiscard]] inline bool is_canary(char const* from, char const* to) noexcept {
  if (from == to) return true;
  char const* const first = word_of(from);
  return ((load(first) ^ g_canary) & mask_from(from)) == 0 && are_words(first + sizeof(Word), to, g_canary);
}

// The first byte that is not as it was, wherever the range begins and ends; null: all are.
[[nodiscard]] inline char const* damage_in(char const* from, char const* to) noexcept {
  for (; from != to; ++from) {
    if (static_cast<unsigned char>(*from) != canary_at(from)) return from;
  }
  return nullptr;
}

// The first byte that is not zero; null: all are.
[[nodiscard]] inline char const* written_in(char const* from, char const* to) noexcept {
  for (; from != to; ++from) {
    if (*from != 0) return from;
  }
  return nullptr;
}

}  // namespace stealth::guard
