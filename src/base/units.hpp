// Byte counts, page and slot arithmetic.
#pragma once

#include <cstddef>
#include <cstdint>

namespace stealth {

inline constexpr std::size_t kKiB = 1024;
inline constexpr std::size_t kMiB = 1024 * kKiB;
inline constexpr std::size_t kGiB = 1024 * kMiB;

// Memory is charged in pages of this size. The system's pages may be larger, up to a slot (arena.hpp): whole slots are
// purged.
inline constexpr std::size_t kPage = 4 * kKiB;
// Every block is aligned at least so, as glibc's are.
inline constexpr std::size_t kMinAlignment = 16;

[[nodiscard]] constexpr bool is_power_of_two(std::size_t n) { return n != 0 && (n & (n - 1)) == 0; }
// To a multiple of a power of two. The caller has seen to it that it cannot overflow.
[[nodiscard]] constexpr std::size_t align_up(std::size_t n, std::size_t alignment) {
  return (n + alignment - 1) & ~(alignment - 1);
}
[[nodiscard]] constexpr std::size_t align_down(std::size_t n, std::size_t alignment) { return n & ~(alignment - 1); }
[[nodiscard]] constexpr std::size_t divide_up(std::size_t n, std::size_t by) { return (n + by - 1) / by; }
// Division by what stays the same, as a multiplication: exact as long as n * by < 2^40.
[[nodiscard]] constexpr std::uint64_t reciprocal_of(std::size_t by) { return divide_up(std::size_t{1} << 40, by); }
[[nodiscard]] constexpr std::uint32_t divide_by_reciprocal(std::size_t n, std::uint64_t reciprocal) {
  return static_cast<std::uint32_t>(n * reciprocal >> 40);
}
// x * result == 1 modulo 2^64, for odd x: each step doubles the number of right bits.
[[nodiscard]] constexpr std::uint64_t inverse_of(std::uint64_t x) {
  std::uint64_t inverse = x;
  for (int right = 3; right < 64; right *= 2) inverse *= 2 - x * inverse;
  return inverse;
}

template <class T>
[[nodiscard]] constexpr T min(T a, T b) {
  return b < a ? b : a;
}
template <class T>
[[nodiscard]] constexpr T max(T a, T b) {
  return a < b ? b : a;
}

}  // namespace stealth
