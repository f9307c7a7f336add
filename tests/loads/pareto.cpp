// Load: sizes and lifetimes from Pareto distributions: nearly all blocks small and short-lived, a long tail of large
// and old ones (16 B up to 4 MiB), which is what traces of real programs look like.
#include <cmath>

#include "common.hpp"

int main(int argc, char** argv) {
  const loads::Arguments arguments(argc, argv);
  loads::Random random(3);
  loads::Checksum sum;

  // Sizes are drawn from a table: a pow() per malloc would hide the malloc.
  constexpr std::size_t kSizes = 1 << 16;
  static std::uint32_t sizes[kSizes];
  for (std::uint32_t& size : sizes) {
    const double drawn = 16.0 * std::pow(1.0 - random.unit(), -1.0 / 1.1);
    size = static_cast<std::uint32_t>(drawn < 4194304.0 ? drawn : 4194304.0);
  }
  constexpr std::size_t kLive = 100'000;
  static loads::Block live[kLive];

  const std::size_t operations = arguments.scaled(6'000'000);
  for (std::size_t i = 0; i < operations; ++i) {
    const std::uint64_t bits = random.next();
    // Slots near 0 are hit most often: their blocks die young.
    const std::size_t slot = random.below(1 + random.below(1 + random.below(kLive)));
    live[slot].drop(sum);
    live[slot].fill(sizes[bits % kSizes], bits);
  }
  for (loads::Block& block : live) block.drop(sum);
  sum.print("pareto");
}
