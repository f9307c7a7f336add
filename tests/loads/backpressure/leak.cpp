// Load: a leak in a program of one thread. Writes what it allocates and frees nothing; tells how long each MiB took,
// and, where malloc refuses, when it did so first and how soon it said so again.
#include <algorithm>

#include "common.hpp"

namespace pressure {

void leak(const char* name, Arguments& arguments) {
  const std::size_t total = arguments.mib("total", 128);
  const std::size_t most_refusals = arguments.count("refusals", 1000);
  arguments.refuse_others();

  loads::Random random(3);
  AllocationTime time;
  std::vector<double> by_mib;    // seconds
  std::vector<double> refusals;  // seconds, each call that gave NULL
  by_mib.reserve(total / std::size_t{1 << 20} + 1);
  refusals.reserve(most_refusals);
  std::size_t leaked = 0;
  std::size_t first_refused_at = 0;
  const auto began = Clock::now();
  auto mib_began = began;
  while (leaked < total && refusals.size() < most_refusals) {
    const std::size_t size = random.between(16, 8192);
    const auto before = Clock::now();
    void* const block = std::malloc(size);
    const auto took = Clock::now() - before;
    time.took(took);
    if (block == nullptr) {
      if (refusals.empty()) first_refused_at = leaked;
      refusals.push_back(seconds(took));
      continue;
    }
    std::memset(block, 0x5a, size);
    const std::size_t mib = leaked >> 20;
    leaked += size;
    if (leaked >> 20 != mib) {
      const auto now = Clock::now();
      by_mib.push_back(seconds(now - mib_began));
      mib_began = now;
    }
  }
  const auto elapsed = Clock::now() - began;

  Report report(name);
  report.add("elapsed", elapsed);
  report.add("leaked", std::uint64_t{leaked});
  report.add("refused", std::uint64_t{refusals.size()});
  if (!refusals.empty()) {
    report.add("first_refused_at", std::uint64_t{first_refused_at});
    report.add("first_refusal_took", refusals.front());
    if (refusals.size() > 1) {
      std::sort(refusals.begin() + 1, refusals.end());  // in place: there is no memory to be had
      report.add("later_refusal_median", refusals[1 + (refusals.size() - 1) / 2]);
      report.add("later_refusal_longest", refusals.back());
    }
  }
  report.add("seconds_by_mib", by_mib);
  report.add("producer", time);
}

}  // namespace pressure
