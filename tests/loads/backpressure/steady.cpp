// Loads that live by themselves: a set of blocks of fixed size, of which one after the other is freed and replaced.
// `steady` is meant to lie between the soft point and the capacity, `calm` far below. Each thread has its own.
#include <algorithm>
#include <string_view>
#include <thread>

#include "common.hpp"

namespace pressure {
namespace {

// No allocation is timed by itself: that would cost as much as the allocation.
struct Life {
  Clock::duration time{};
  Clock::duration longest{};  // of kBatch operations
  loads::Checksum sum;
};

constexpr std::size_t kBatch = 256;

void live(std::size_t bytes, std::size_t operations, unsigned number, Life& life) {
  loads::Random random(number + 7);
  std::vector<loads::Block> blocks;
  for (std::size_t held = 0; held < bytes; held += blocks.back().size) {
    blocks.emplace_back().fill(random.doubling(6, 14), random.next());
  }
  const auto began = Clock::now();
  for (std::size_t done = 0; done < operations; done += kBatch) {
    const auto batch_began = Clock::now();
    for (std::size_t i = 0; i < kBatch; ++i) {
      loads::Block& block = blocks[random.below(blocks.size())];
      block.drop(life.sum);
      block.fill(random.doubling(6, 14), random.next());
    }
    life.longest = std::max(life.longest, Clock::now() - batch_began);
  }
  life.time = Clock::now() - began;
  for (loads::Block& block : blocks) block.drop(life.sum);
}

}  // namespace

void steady(const char* name, Arguments& arguments) {
  const bool calm = std::string_view(name) == "calm";
  const unsigned threads = arguments.count("threads", 1);
  const std::size_t bytes = arguments.mib("live", calm ? 16 : 88);
  const auto operations = static_cast<std::size_t>(arguments.number("millions", calm ? 20 : 10) * 1e6);
  arguments.refuse_others();
  if (threads == 0) loads::fail("threads: 0");

  std::vector<Life> lives(threads);
  const auto began = Clock::now();
  if (threads == 1) {
    live(bytes, operations, 0, lives[0]);  // without a second thread anywhere
  } else {
    std::vector<std::thread> running;
    for (unsigned i = 0; i < threads; ++i) {
      running.emplace_back([&, i] { live(bytes / threads, operations / threads, i, lives[i]); });
    }
    for (std::thread& thread : running) thread.join();
  }
  const auto elapsed = Clock::now() - began;
  Life all;
  for (const Life& one : lives) all.longest = std::max(all.longest, one.longest);
  Report report(name);
  report.add("elapsed", elapsed);
  report.add("longest_batch", all.longest);
}

}  // namespace pressure
