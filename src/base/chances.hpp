// The arithmetic of sampling by bytes, without libm: how far it is to the next sample, and how likely memory is one.
#pragma once

#include <cstdint>

#include "base/units.hpp"

namespace stealth {

[[nodiscard]] inline std::uint32_t next_random(std::uint32_t& state) noexcept {  // xorshift32 (Marsaglia, 2003)
  state ^= state << 13;
  state ^= state >> 17;
  state ^= state << 5;
  return state;
}

// From an exponential distribution of mean 1: the natural logarithm of 1/u, u = (random + 1) / 2^32, to seven digits;
// of the mantissa m = 1 + f by the series of 2 atanh(f / (2 + f)).
[[nodiscard]] inline double exponential(std::uint32_t& random) noexcept {
  std::uint64_t const u = std::uint64_t{next_random(random)} + 1;
  int const exponent = 63 - __builtin_clzll(u);
  double const m = static_cast<double>(u) / static_cast<double>(std::uint64_t{1} << exponent);
  double const t = (m - 1) / (m + 1);
  double const t2 = t * t;
  double const log_m = 2 * t * (1 + t2 * (1. / 3 + t2 * (1. / 5 + t2 * (1. / 7 + t2 * (1. / 9 + t2 / 11)))));
  constexpr double kLog2 = 0.69314718055994531;
  return (32 - exponent) * kLog2 - log_m;
}

// That one of so many bytes is drawn: 1 - exp(-bytes / interval), to seven digits.
[[nodiscard]] inline double chance_of(std::uint64_t bytes, std::uint64_t interval) noexcept {
  double const x = static_cast<double>(bytes) / static_cast<double>(interval);
  if (x > 32) return 1;
  double const y = x / 1024;
  double e = 1 - y * (1 - y / 2 * (1 - y / 3 * (1 - y / 4)));
  for (int i = 0; i < 10; ++i) e *= e;
  return 1 - e;
}

// Sizes that can be scaled together, by their mean: their chances differ little, or as the sizes do. One group of all
// far below the interval, one of all far above, and one for each power of two between.
[[nodiscard]] inline std::uint32_t group_of(std::uint64_t bytes, std::uint64_t interval) noexcept {
  std::uint64_t const quarters = bytes * 4 / max(interval, std::uint64_t{1});
  return quarters == 0 ? 0 : min(64 - static_cast<std::uint32_t>(__builtin_clzll(quarters)), 5u);
}

}  // namespace stealth
