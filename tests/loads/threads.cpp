// Load: short-lived threads that leave blocks behind to others, as in a server with a thread per connection. A few
// stations run at once; each thread at a station replaces some of the blocks that its predecessor left, and ends.
#include <thread>
#include <vector>

#include "common.hpp"

namespace {

constexpr std::size_t kHeld = 1500;

struct Station {
  loads::Block held[kHeld];
  loads::Checksum sum;
};

void work(Station& station, std::uint64_t seed, std::size_t operations) {
  loads::Random random(seed);
  loads::Checksum sum;
  for (std::size_t i = 0; i < operations; ++i) {
    const std::uint64_t bits = random.next();
    loads::Block& slot = station.held[random.below(kHeld)];
    slot.drop(sum);
    slot.fill(16 + bits % 1000, bits);
  }
  station.sum.add(sum);
}

// Threads are joined one station at a time while the other stations' threads run on.
void run(std::vector<Station>& stations, std::size_t generations) {
  std::vector<std::thread> threads(stations.size());
  for (std::size_t generation = 0; generation < generations; ++generation) {
    for (std::size_t i = 0; i < stations.size(); ++i) {
      if (threads[i].joinable()) threads[i].join();
      threads[i] = std::thread(work, std::ref(stations[i]), 50 + generation * stations.size() + i, std::size_t{4'000});
    }
  }
  for (std::thread& thread : threads) thread.join();
}

}  // namespace

int main(int argc, char** argv) {
  const loads::Arguments arguments(argc, argv);
  std::vector<Station> stations(arguments.count(4));
  run(stations, arguments.scaled(5'000) / stations.size() + 1);
  loads::Checksum sum;
  for (Station& station : stations) {
    for (loads::Block& block : station.held) block.drop(sum);
    sum.add(station.sum);
  }
  sum.print("threads");
}
