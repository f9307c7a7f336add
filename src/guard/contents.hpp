// What stands in a guarded block: in a live one the program's bytes, and canaries from there to its end; in a free one
// zeros and the last eight canary bytes. A block's last word stands there from when it was carved, and nobody writes it
// again: who frees the next block looks at it. And what is said where it does not.
#pragma once

#include <cstring>

#include "guard/canary.hpp"
#include "guard/reports.hpp"
#include "guard/slabs.hpp"

namespace stealth::guard {

// A free one. Short ones without a call, which would take longer than the work.
inline void clear(char* block, std::uint32_t bytes) noexcept {
  constexpr std::uint32_t kShort = 1024;
  char* const last = block + bytes - sizeof(Wide);
  if (bytes > kShort) {
    std::memset(block, 0, bytes - sizeof(Wide));
  } else if (last - block >= kFour) {
    store_four(last - kFour, Wide{});
    for (; last - block > kFour; block += kFour) store_four(block, Wide{});
  } else {
    for (; block != last; block += sizeof(Wide)) {
      store_wide(block, Wide{});
      asm volatile("" : "+r"(block));  // or the compiler makes a call of this
    }
  }
  store(last, 0);
}

[[nodiscard]] inline bool is_clear(char const* block, std::uint32_t bytes) noexcept {
  char const* const last = block + bytes - sizeof(Wide);
  Wide differs = load_wide(last) ^ Wide { 0, g_canary };
  if (last - block >= kFour) {
    differs |= any_of_four(last - kFour);
    for (; last - block > kFour; block += kFour) differs |= any_of_four(block);
  } else {
    for (; block != last; block += sizeof(Wide)) differs |= load_wide(block);
  }
  return is_zero(differs);
}

inline void check_free(char const* block, Info const& info) noexcept {
  if (is_clear(block, info.block)) [[likely]]
    return;
  char const* const canary = block + info.block - kCanaryBytes;
  char const* const written = written_in(block, canary);
  report_write_after_free(block, written != nullptr ? written : damage_in(canary, canary + kCanaryBytes), info);
}

// One that is handed out: was free, and is zero where the program's bytes will be.
inline void fill(char* block, std::uint32_t bytes, std::size_t size, bool zeroed) noexcept {
  char* const edge = word_of(block + size);
  Word const mask = mask_from(block + size);
  Word const within = zeroed ? 0 : kUninitialised;
  if (!zeroed) fill_words(block, edge, kUninitialised);
  char* const last = block + bytes - sizeof(Word);
  if (edge == last) return;
  store(edge, (within & ~mask) | (g_canary & mask));
  fill_words(edge + sizeof(Word), last, g_canary);
}

[[nodiscard]] inline bool is_undamaged(char const* block, Info const& info) noexcept {
  char const* const end = block + info.block;
  char const* const first = word_of(block + info.size);
  Word differs = (load(first) ^ g_canary) & mask_from(block + info.size);
  if (end - first > kFour) return differs == 0 && are_words(first + sizeof(Word), end, g_canary);
  for (char const* word = first + sizeof(Word); word != end; word += sizeof(Word)) differs |= load(word) ^ g_canary;
  return differs == 0;
}

inline void check_around(Info const* first, std::uint32_t index, char const* block, Info const& info) noexcept {
  if (!is_undamaged(block, info)) [[unlikely]]
    report_overflow(block, damage_in(block + info.size, block + info.block), info);
  // Before the first one is an inaccessible page.
  if (index != 0 && load(block - kCanaryBytes) != g_canary) [[unlikely]]
    report_underflow(block, damage_in(block - kCanaryBytes, block), info, block - info.block, &first[index - 1]);
}

}  // namespace stealth::guard
