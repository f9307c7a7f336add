// Load: mixed sizes, 16 B to 16 KiB, with a live set that ages: most operations replace young blocks, a few replace old
// ones, so that long-lived blocks end up scattered among short-lived ones, as in a server that has run for a while.
#include "common.hpp"

int main(int argc, char** argv) {
  const loads::Arguments arguments(argc, argv);
  loads::Random random(2);
  loads::Checksum sum;
  constexpr std::size_t kLive = 24'000;
  static loads::Block live[kLive];

  const std::size_t operations = arguments.scaled(4'000'000);
  for (std::size_t i = 0; i < operations; ++i) {
    const std::uint64_t bits = random.next();
    // 15 of 16 go to the young tenth of the slots; the rest may hit anything.
    const std::size_t slot = bits % 16 == 0 ? random.below(kLive) : random.below(kLive / 10);
    live[slot].drop(sum);
    live[slot].fill(random.doubling(4, 14), bits);
  }
  for (loads::Block& block : live) block.drop(sum);
  sum.print("ageing");
}
