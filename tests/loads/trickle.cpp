// Load: what stays resident when a service has become idle. Two threads fill phases of mixed sizes, each phase with
// sizes of its own; between phases 95 % of all is freed at random. In the end nearly all is freed (some 80 KiB stay,
// spread over everything), one thread sleeps, and for a second the other makes a call now and then, or, with COUNT 1,
// none at all. `metric left_kib` is what is resident after that second. Compare by CPU time. (`burst` has one mix and
// one thread, and repeats the same peak.)
#include <barrier>
#include <chrono>
#include <thread>
#include <vector>

#include "common.hpp"

namespace {

constexpr std::size_t kFilled = std::size_t{46} << 20;  // by each thread in each phase
constexpr std::size_t kLeft = 40 << 10;                 // of each thread in the end
constexpr unsigned kPhases[][2] = {{5, 9}, {8, 13}, {4, 12}, {6, 10}, {10, 17}, {4, 14}};

void fill(std::vector<loads::Block>& live, loads::Random& random, const unsigned (&sizes)[2]) {
  std::size_t bytes = 0;
  for (const loads::Block& block : live) bytes += block.size;
  while (bytes < kFilled) {
    live.emplace_back().fill(random.doubling(sizes[0], sizes[1]), random.next());
    bytes += live.back().size;
  }
}

void shuffle(std::vector<loads::Block>& live, loads::Random& random) {
  for (std::size_t i = live.size() - 1; i > 0; --i) std::swap(live[i], live[random.below(i + 1)]);
}

// Frees from the end until `keep` blocks are left; what is left is a random choice after a shuffle.
void thin_out(std::vector<loads::Block>& live, std::size_t keep, loads::Checksum& sum) {
  for (; live.size() > keep; live.pop_back()) live.back().drop(sum);
}

void phases(std::vector<loads::Block>& live, std::uint64_t seed, std::size_t rounds, std::barrier<>& together,
            loads::Checksum& sum) {
  loads::Random random(seed);
  for (std::size_t round = 0; round < rounds; ++round) {
    fill(live, random, kPhases[round % std::size(kPhases)]);
    together.arrive_and_wait();  // all are at the peak at once: it is the same in every run
    shuffle(live, random);
    thin_out(live, live.size() / 20, sum);
    together.arrive_and_wait();
  }
  std::size_t kept = 0;
  std::size_t bytes = 0;
  while (kept < live.size() && bytes + live[kept].size <= kLeft) bytes += live[kept++].size;
  thin_out(live, kept, sum);
  live.shrink_to_fit();  // the table for hundreds of thousands of blocks goes, too
}

void quiet_second(bool calls, loads::Checksum& sum) {
  if (!calls) return std::this_thread::sleep_for(std::chrono::seconds(1));
  loads::Random random(18);
  for (unsigned tick = 0; tick < 100; ++tick) {
    std::this_thread::sleep_for(std::chrono::milliseconds(10));
    loads::Block block;
    block.fill(random.doubling(4, 12), random.next());
    block.drop(sum);
  }
}

}  // namespace

int main(int argc, char** argv) {
  const loads::Arguments arguments(argc, argv);
  const std::size_t rounds = arguments.scaled(12);
  std::barrier together(2);
  std::vector<loads::Block> ours, others;
  // One table for all blocks, made before any of them: its growth is not what is looked at here.
  ours.reserve(kFilled / 128);
  others.reserve(kFilled / 128);
  loads::Checksum sum, others_sum;
  std::thread other([&] {
    phases(others, 101, rounds, together, others_sum);
    together.arrive_and_wait();
    together.arrive_and_wait();  // alive, but asleep
    for (loads::Block& block : others) block.drop(others_sum);
  });
  phases(ours, 100, rounds, together, sum);
  together.arrive_and_wait();
  quiet_second(arguments.count(0) == 0, sum);
  std::printf("metric left_kib %ld\n", loads::resident_kib());
  together.arrive_and_wait();
  for (loads::Block& block : ours) block.drop(sum);
  other.join();
  sum.add(others_sum);
  sum.print("trickle");
}
