// How long a call waits for a BufferPool that is at its target or above: pure arithmetic on the ratio alone, so that
// waiters cannot escalate one another, and it can be tested without waiting.
#pragma once

#include <cstdint>

namespace stealth {

struct BufferLaw {
  std::uint64_t initial_ns = 500'000'000;
  std::uint64_t most_ns = 15'000'000'000;
  double randomization = 0.5;
};

// Below the target nothing; at it the initial interval, then with the square of the ratio: who goes on writing by so
// many bytes for each wait grows with the cube root of the time.
[[nodiscard]] constexpr std::uint64_t interval_ns(BufferLaw const& law, std::uint64_t used, std::uint64_t target) {
  if (used < target) return 0;
  double const ratio = static_cast<double>(used) / static_cast<double>(target);
  double const ns = static_cast<double>(law.initial_ns) * ratio * ratio;
  return ns < static_cast<double>(law.most_ns) ? static_cast<std::uint64_t>(ns) : law.most_ns;
}

// `where` in [-1, 1]: the place in the range that it is drawn from. Monotonic in the ratio for each of them.
[[nodiscard]] constexpr std::uint64_t delay_ns(BufferLaw const& law, std::uint64_t used, std::uint64_t target,
                                               double where) {
  double const ns = static_cast<double>(interval_ns(law, used, target)) * (1.0 + law.randomization * where);
  return ns < static_cast<double>(law.most_ns) ? static_cast<std::uint64_t>(ns) : law.most_ns;
}

}  // namespace stealth
