// Load: small blocks that live shortly. What parsers, formatters and request handlers do: a handful of blocks below
// 256 bytes live at any time, freed in nearly the order they came, or at once.
#include "common.hpp"

int main(int argc, char** argv) {
  const loads::Arguments arguments(argc, argv);
  loads::Random random(1);
  loads::Checksum sum;
  constexpr std::size_t kLive = 256;
  static loads::Block live[kLive];

  const std::size_t rounds = arguments.scaled(12'000'000);
  for (std::size_t i = 0; i < rounds; ++i) {
    const std::uint64_t bits = random.next();
    loads::Block& slot = live[i % kLive];
    slot.drop(sum);
    slot.fill(8 + bits % 120, bits);
    for (unsigned nested = 0; nested < (bits >> 62); ++nested) {  // a temporary, or a few, last in first out
      loads::Block temporary;
      temporary.fill(16 + (bits >> (16 + nested * 8)) % 240, bits + nested);
      temporary.drop(sum);
    }
  }
  for (loads::Block& block : live) block.drop(sum);
  sum.print("small");
}
