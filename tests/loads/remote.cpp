// Load: blocks made by one thread and freed by another, as in every pipeline. COUNT pairs of a producer and a consumer,
// each joined by a bounded queue of batches that allocates nothing itself.
#include <condition_variable>
#include <mutex>
#include <thread>
#include <vector>

#include "common.hpp"

namespace {

constexpr std::size_t kBatch = 128;
constexpr std::size_t kDepth = 16;

struct Batch {
  loads::Block blocks[kBatch];
};

class Pipe {
 public:
  void push(const Batch& batch) {
    std::unique_lock lock(mutex_);
    changed_.wait(lock, [this] { return filled_ - taken_ < kDepth; });
    ring_[filled_++ % kDepth] = batch;
    changed_.notify_one();
  }
  void pop(Batch& batch) {
    std::unique_lock lock(mutex_);
    changed_.wait(lock, [this] { return filled_ != taken_; });
    batch = ring_[taken_++ % kDepth];
    changed_.notify_one();
  }

 private:
  std::mutex mutex_;
  std::condition_variable changed_;
  Batch ring_[kDepth];
  std::size_t filled_ = 0;
  std::size_t taken_ = 0;
};

void produce(Pipe& pipe, std::uint64_t seed, std::size_t batches) {
  loads::Random random(seed);
  Batch batch;
  for (std::size_t i = 0; i < batches; ++i) {
    for (loads::Block& block : batch.blocks) {
      const std::uint64_t bits = random.next();
      // Small messages, one in 32 with a body of some KiB.
      block.fill(bits % 32 == 0 ? 512 + (bits >> 8) % 7680 : 16 + (bits >> 8) % 240, bits);
    }
    pipe.push(batch);
  }
}

void consume(Pipe& pipe, std::size_t batches, loads::Checksum& sum) {
  Batch batch;
  for (std::size_t i = 0; i < batches; ++i) {
    pipe.pop(batch);
    for (loads::Block& block : batch.blocks) block.drop(sum);
  }
}

}  // namespace

int main(int argc, char** argv) {
  const loads::Arguments arguments(argc, argv);
  const unsigned pairs = arguments.count(1);
  const std::size_t batches = arguments.scaled(40'000) / pairs + 1;
  std::vector<Pipe> pipes(pairs);
  std::vector<loads::Checksum> sums(pairs);
  std::vector<std::thread> threads;
  for (unsigned i = 0; i < pairs; ++i) {
    threads.emplace_back(produce, std::ref(pipes[i]), 40 + i, batches);
    threads.emplace_back(consume, std::ref(pipes[i]), batches, std::ref(sums[i]));
  }
  for (std::thread& thread : threads) thread.join();
  loads::Checksum sum;
  for (const loads::Checksum& one : sums) sum.add(one);
  sum.print("remote");
}
