// Load: live memory that doubles from 1 MiB to COUNT MiB, with random replacements at each doubling: does an operation
// cost the same however much is live? `ns_per_op_N` is what a replacement took at N MiB. Random blocks of much memory
// are cold, whoever made them: `ns_per_touch_N` is what reading and writing a random block took, without a call.
#include <algorithm>
#include <vector>

#include "common.hpp"

namespace {

constexpr unsigned kLow = 4;  // 16 B – 4 KiB, as many from each doubling: some 770 B on average
constexpr unsigned kHigh = 12;
constexpr std::size_t kMiB = std::size_t{1} << 20;

void replace(std::vector<loads::Block>& live, loads::Random& random, loads::Checksum& sum, std::size_t operations) {
  for (std::size_t i = 0; i < operations; ++i) {
    loads::Block& block = live[random.below(live.size())];
    block.drop(sum);
    block.fill(random.doubling(kLow, kHigh), random.next());
  }
}

void touch(std::vector<loads::Block>& live, loads::Random& random, std::size_t operations) {
  for (std::size_t i = 0; i < operations; ++i) {
    loads::Block& block = live[random.below(live.size())];
    loads::check(block.data, block.size, block.key);
    block.key = random.next();
    loads::stamp(block.data, block.size, block.key);
  }
}

}  // namespace

int main(int argc, char** argv) {
  const loads::Arguments arguments(argc, argv);
  const std::size_t most = arguments.count(1024);
  const std::size_t operations = arguments.scaled(200'000);
  loads::Random random(17);
  loads::Checksum sum;
  std::vector<loads::Block> live;
  live.reserve(most * kMiB / 512);  // in one piece, so that it does not grow between what is measured
  std::size_t bytes = 0;
  for (std::size_t mib = 1; mib <= most; mib *= 2) {
    while (bytes < mib * kMiB) {
      live.emplace_back().fill(random.doubling(kLow, kHigh), random.next());
      bytes += live.back().size;
    }
    replace(live, random, sum, operations / 10);  // not measured: caches are warmed to this size
    const double begin = loads::thread_ns();
    replace(live, random, sum, operations);
    const double middle = loads::thread_ns();
    touch(live, random, operations);
    const double end = loads::thread_ns();
    std::printf("metric ns_per_op_%zu %.1f\n", mib, (middle - begin) / static_cast<double>(operations));
    std::printf("metric ns_per_touch_%zu %.1f\n", mib, (end - middle) / static_cast<double>(operations));
  }
  for (loads::Block& block : live) block.drop(sum);
  sum.print("scale");
}
