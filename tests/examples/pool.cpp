// A pool of packet buffers between a receiver and three workers: however fast packets come, there are never more than
// 64 of them in memory, and the receiver waits while all are with the workers.
//
//   c++ -std=c++20 pool.cpp $(pkg-config --cflags --libs stealthpool) -pthread -o pool
#include <chrono>
#include <condition_variable>
#include <cstdint>
#include <cstdio>
#include <cstring>
#include <deque>
#include <mutex>
#include <stealth/stealth.hpp>
#include <thread>
#include <vector>

using namespace std::chrono_literals;

namespace {

// Blocks travel between threads like any other movable object, and go back to the pool wherever they die.
class Queue {
 public:
  void push(stealth::Block packet) {
    {
      std::lock_guard const hold(mutex_);
      packets_.push_back(std::move(packet));
    }
    changed_.notify_one();
  }
  // An empty block: no more will come.
  stealth::Block pop() {
    std::unique_lock hold(mutex_);
    changed_.wait(hold, [this] { return !packets_.empty() || ended_; });
    if (packets_.empty()) return {};
    stealth::Block packet = std::move(packets_.front());
    packets_.pop_front();
    return packet;
  }
  void end() {
    {
      std::lock_guard const hold(mutex_);
      ended_ = true;
    }
    changed_.notify_all();
  }

 private:
  std::mutex mutex_;
  std::condition_variable changed_;
  std::deque<stealth::Block> packets_;
  bool ended_ = false;
};

}  // namespace

int main() {
  stealth::Pool pool(64, {.block_size = 2048, .preallocate = 16});
  Queue queue;
  std::vector<std::uint64_t> sums(3);
  std::vector<std::thread> workers;
  for (std::uint64_t& sum : sums) {
    workers.emplace_back([&queue, &sum] {
      while (stealth::Block const packet = queue.pop()) {
        std::uint64_t number = 0;
        std::memcpy(&number, packet.data(), sizeof number);
        sum += number;
      }
    });
  }

  constexpr std::uint64_t kPackets = 100'000;
  std::uint64_t waited = 0;
  for (std::uint64_t number = 1; number <= kPackets; ++number) {
    std::error_code error;
    stealth::Block packet = pool.get(error);
    if (error == stealth::errc::pool_full) {
      ++waited;
      packet = pool.get_for(10s);  // throws stealth::errc::timed_out where the workers are stuck
    } else if (error) {
      std::fprintf(stderr, "pool: %s\n", error.message().c_str());
      return 1;
    }
    std::memcpy(packet.data(), &number, sizeof number);
    queue.push(std::move(packet));
  }
  queue.end();
  for (std::thread& worker : workers) worker.join();

  std::printf("sum %llu\n", static_cast<unsigned long long>(sums[0] + sums[1] + sums[2]));
  std::printf("blocks out now %zu, at most %zu of %zu; the receiver waited %llu times\n", pool.in_use(),
              pool.high_water(), pool.max_blocks(), static_cast<unsigned long long>(waited));
  return sums[0] + sums[1] + sums[2] == kPackets * (kPackets + 1) / 2 && pool.in_use() == 0 ? 0 : 1;
}
