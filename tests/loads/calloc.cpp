// Load: zeroed blocks, 16 B to 256 KiB, dirtied before they are freed, so that an allocator which forgets to clear what
// it hands out again is caught.
#include "common.hpp"

int main(int argc, char** argv) {
  const loads::Arguments arguments(argc, argv);
  loads::Random random(10);
  loads::Checksum sum;
  constexpr std::size_t kLive = 4'000;
  static loads::Block live[kLive];

  const std::size_t operations = arguments.scaled(3'000'000);
  for (std::size_t i = 0; i < operations; ++i) {
    const std::uint64_t bits = random.next();
    loads::Block& slot = live[random.below(kLive)];
    slot.drop(sum);
    // One in 256 is a table of some ten KiB, the rest are objects.
    slot.size = bits % 256 == 0 ? random.doubling(13, 18) : random.doubling(4, 11);
    slot.data = std::calloc(slot.size / 8, 8);
    slot.size = slot.size / 8 * 8;
    slot.key = bits;
    if (slot.data == nullptr) loads::fail("no memory");
    loads::check(slot.data, slot.size, 0);
    loads::stamp(slot.data, slot.size, bits);
  }
  for (loads::Block& block : live) block.drop(sum);
  sum.print("calloc");
}
