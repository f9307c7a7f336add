// Load: sizes change between phases. Each phase fills the same amount with its own narrow range of sizes and then frees
// 95 % of it at random, so that every slab and page keeps a survivor: the hard case for memory, since what one phase
// leaves must serve the next one's other sizes. Survivors of a phase go when the next has been filled.
#include <vector>

#include "common.hpp"

namespace {

constexpr std::size_t kPhaseBytes = std::size_t{48} << 20;

void fill(std::vector<loads::Block>& blocks, loads::Random& random, std::size_t low) {
  std::size_t bytes = 0;
  while (bytes < kPhaseBytes) {
    blocks.emplace_back().fill(random.between(low, low + low / 2), random.next());
    bytes += blocks.back().size;
  }
}

void thin_out(std::vector<loads::Block>& blocks, loads::Random& random, loads::Checksum& sum) {
  std::size_t kept = 0;
  for (loads::Block& block : blocks) {
    if (random.below(20) == 0) {
      blocks[kept++] = block;
    } else {
      block.drop(sum);
    }
  }
  blocks.resize(kept);
}

}  // namespace

int main(int argc, char** argv) {
  const loads::Arguments arguments(argc, argv);
  loads::Random random(13);
  loads::Checksum sum;
  static constexpr std::size_t kLows[] = {32, 400, 96, 2000, 200, 6000, 56, 1000};

  std::vector<loads::Block> older;
  const std::size_t phases = arguments.scaled(24);
  for (std::size_t phase = 0; phase < phases; ++phase) {
    std::vector<loads::Block> blocks;
    fill(blocks, random, kLows[phase % 8]);
    for (loads::Block& block : older) block.drop(sum);
    thin_out(blocks, random, sum);
    older.swap(blocks);
  }
  for (loads::Block& block : older) block.drop(sum);
  sum.print("phases");
}
