// Load: bursts, then quiet. Mixed sizes up to a peak of some 200 MiB, nearly all of it freed in random order, a few
// times over; then only a trickle of calls for a second. Tells how much stays resident (`metric left_kib`): memory that
// a service would hold for nothing. Compare by CPU time: the quiet second is the same for everybody.
#include <chrono>
#include <thread>
#include <vector>

#include "common.hpp"

namespace {

void burst(std::vector<loads::Block>& live, loads::Random& random, loads::Checksum& sum, std::size_t count) {
  live.resize(count);
  for (loads::Block& block : live) {
    if (block.data == nullptr) block.fill(random.doubling(4, 12), random.next());
  }
  for (std::size_t i = count - 1; i > 0; --i) std::swap(live[i], live[random.below(i + 1)]);
  for (std::size_t i = 0; i < count; ++i) {
    if (i % 1024 != 0) live[i].drop(sum);
  }
}

}  // namespace

int main(int argc, char** argv) {
  const loads::Arguments arguments(argc, argv);
  loads::Random random(12);
  loads::Checksum sum;
  {
    std::vector<loads::Block> live;
    for (unsigned i = 0; i < 5; ++i) burst(live, random, sum, arguments.scaled(240'000));
    for (std::size_t i = 0; i < live.size(); i += 2048) live[i].drop(sum);  // half of what stayed goes, too
    for (unsigned tick = 0; tick < 100; ++tick) {
      std::this_thread::sleep_for(std::chrono::milliseconds(10));
      loads::Block trickle;
      trickle.fill(random.doubling(4, 12), random.next());
      trickle.drop(sum);
    }
    std::printf("metric left_kib %ld\n", loads::resident_kib());
    for (loads::Block& block : live) block.drop(sum);
  }
  sum.print("burst");
}
