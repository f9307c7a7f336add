// What stands in memory that nobody may write: eight bytes, drawn at start, none of them zero, over and over, so that
// which byte belongs where follows from its address; and zeros, where a block is free.
#pragma once

#include <cstddef>
#include <cstdint>
#include <cstring>

namespace stealth::guard {

inline constexpr std::size_t kCanaryBytes = sizeof(std::uint64_t);
inline constinit std::uint64_t g_canary = 0;  // written once, before the first block is handed out

[[nodiscard]] inline unsigned char canary_at(void const* address) noexcept {
  return static_cast<unsigned char>(g_canary >> reinterpret_cast<std::uintptr_t>(address) % kCanaryBytes * 8);
}

inline void fill_canary(char* from, char const* to) noexcept {
  for (; from != to && reinterpret_cast<std::uintptr_t>(from) % kCanaryBytes != 0; ++from)
    *from = static_cast<char>(canary_at(from));
  for (; to - from >= static_cast<std::ptrdiff_t>(kCanaryBytes); from += kCanaryBytes)
    std::memcpy(from, &g_canary, kCanaryBytes);
  for (; from != to; ++from) *from = static_cast<char>(canary_at(from));
}

// The first byte that is not as it was; null: all are.
[[nodiscard]] inline char const* damage_in(char const* from, char const* to) noexcept {
  while (from != to) {
    std::uint64_t word = 0;
    bool const whole = reinterpret_cast<std::uintptr_t>(from) % kCanaryBytes == 0 &&
                       to - from >= static_cast<std::ptrdiff_t>(kCanaryBytes);
    if (whole) std::memcpy(&word, from, kCanaryBytes);
    if (whole && word == g_canary) {
      from += kCanaryBytes;
    } else if (static_cast<unsigned char>(*from) == canary_at(from)) {
      ++from;
    } else {
      return from;
    }
  }
  return nullptr;
}

// The first byte that is not zero; null: all are.
[[nodiscard]] inline char const* written_in(char const* from, std::size_t bytes) noexcept {
  if (bytes == 0 || (*from == 0 && std::memcmp(from, from + 1, bytes - 1) == 0)) return nullptr;
  while (*from == 0) ++from;
  return from;
}

}  // namespace stealth::guard
