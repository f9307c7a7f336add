// How long to wait: pure arithmetic, so that it can be tested and compared without waiting.
#pragma once

#include <cstdint>

#include "base/units.hpp"

namespace stealth {

struct BackoffLimits {
  std::uint64_t max_wait_ns = 100'000'000;        // the longest single wait
  std::uint64_t patience_ns = 1'000'000'000;      // the longest one call waits while nobody releases anything
  std::uint64_t max_elapsed_ns = 15'000'000'000;  // the longest one call waits in all
};

// The next wait of a call that has waited `fruitless` times in a row without any release, `silence_ns` since the last
// release (or since it began to wait) and `elapsed_ns` in all. 0: the call has waited long enough. Doubles from 0.2 ms.
[[nodiscard]] constexpr std::uint64_t next_wait_ns(BackoffLimits const& limits, std::uint32_t fruitless,
                                                   std::uint64_t silence_ns, std::uint64_t elapsed_ns) {
  if (silence_ns >= limits.patience_ns || elapsed_ns >= limits.max_elapsed_ns) return 0;
  constexpr std::uint64_t kFirst = 200'000;
  std::uint64_t const doubled = fruitless < 32 ? kFirst << fruitless : ~std::uint64_t{0};
  std::uint64_t const wait = min(doubled, limits.max_wait_ns);
  std::uint64_t const left = min(limits.patience_ns - silence_ns, limits.max_elapsed_ns - elapsed_ns);
  return max(std::uint64_t{1}, min(wait, left));
}

}  // namespace stealth
