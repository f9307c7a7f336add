// Load: buffers of 64 KiB to 32 MiB, each page touched once, a handful live: images, matrices, files read whole. The
// price is mostly the kernel's: how often pages are given back and faulted in again.
#include "common.hpp"

int main(int argc, char** argv) {
  const loads::Arguments arguments(argc, argv);
  loads::Random random(9);
  loads::Checksum sum;
  constexpr std::size_t kLive = 8;
  static loads::Block live[kLive];

  const std::size_t operations = arguments.scaled(600);
  for (std::size_t i = 0; i < operations; ++i) {
    loads::Block& slot = live[random.below(kLive)];
    slot.drop(sum);
    slot.fill(random.doubling(16, 25), random.next());
  }
  for (loads::Block& block : live) block.drop(sum);
  sum.print("large");
}
