// Load: false sharing. COUNT threads write to small blocks of their own that may lie in one line of the cache. Passive:
// one thread has made neighbours and passed them on; who frees and allocates again may stay neighbours for ever.
// Active: every thread makes its own, and an allocator that cuts one line for two threads is seen.
#include <atomic>
#include <latch>
#include <thread>
#include <vector>

#include "common.hpp"

namespace {

constexpr std::size_t kWrites = 100;

// As a reference count or a lock is written: by one instruction that must own the line. Plain stores wait in the
// processor's store buffer, and on some machines show nothing.
void hammer(void* block, std::uint64_t key) {
  if (block == nullptr) loads::fail("no memory");
  auto* word = static_cast<std::uint64_t*>(block);
  *word = key;
  const std::atomic_ref<std::uint64_t> counter(*word);
  for (std::size_t i = 0; i < kWrites; ++i) counter.fetch_add(1, std::memory_order_relaxed);
  if (*word != key + kWrites) loads::fail("a block does not hold what was written to it");
}

void work(std::latch& start, std::uint64_t seed, std::size_t rounds, void* passed, loads::Checksum& sum) {
  loads::Random random(seed);
  start.arrive_and_wait();
  if (passed != nullptr) hammer(passed, seed);
  std::free(passed);
  for (std::size_t i = 0; i < rounds; ++i) {
    const std::uint64_t key = random.next();
    void* block = std::malloc(8 + 8 * (i % 2));
    hammer(block, key);
    sum.add(key);
    std::free(block);
  }
}

void run(unsigned count, std::size_t rounds, bool pass, loads::Checksum& sum) {
  std::latch start(count);
  std::vector<void*> passed(count, nullptr);
  for (void*& block : passed) block = pass ? std::malloc(8) : nullptr;
  std::vector<loads::Checksum> sums(count);
  std::vector<std::thread> threads;
  for (unsigned i = 0; i < count; ++i) {
    threads.emplace_back([&, i] {
      loads::Checksum own;
      work(start, 60 + i, rounds, passed[i], own);
      sums[i] = own;
    });
  }
  for (std::thread& thread : threads) thread.join();
  for (const loads::Checksum& one : sums) sum.add(one);
}

}  // namespace

int main(int argc, char** argv) {
  const loads::Arguments arguments(argc, argv);
  const unsigned count = arguments.count(2);
  const std::size_t rounds = arguments.scaled(150'000) / count + 1;
  loads::Checksum sum;
  for (unsigned i = 0; i < 10; ++i) run(count, rounds, i % 2 == 0, sum);
  sum.print("false-sharing");
}
