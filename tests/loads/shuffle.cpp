// Load: any size, any order, any thread. COUNT threads replace random blocks of 16 B – 8 KiB (as many from each
// doubling), leave some of them on a common table where whoever comes next frees them, and free the rest in random
// order; then all end, and new ones begin with what is left on the table.
#include <atomic>
#include <thread>
#include <vector>

#include "common.hpp"

namespace {

constexpr std::size_t kLive = 4'000;   // of each thread
constexpr std::size_t kTable = 1'024;  // what nobody owns

struct Item {
  std::size_t size;
  std::uint64_t key;
};

std::atomic<Item*> table[kTable];

Item* make(loads::Random& random) {
  const std::size_t size = random.doubling(4, 13);
  auto* item = static_cast<Item*>(std::malloc(size));
  if (item == nullptr) loads::fail("no memory");
  *item = {size, random.next()};
  if (size > sizeof(Item)) loads::stamp(item + 1, size - sizeof(Item), item->key);
  return item;
}

void drop(Item* item, loads::Checksum& sum) {
  if (item == nullptr) return;
  if (item->size > sizeof(Item)) loads::check(item + 1, item->size - sizeof(Item), item->key);
  sum.add(item->key ^ item->size);
  std::free(item);
}

void work(std::uint64_t seed, std::size_t operations, loads::Checksum& total) {
  loads::Random random(seed);
  loads::Checksum sum;
  std::vector<Item*> live(kLive, nullptr);
  for (std::size_t i = 0; i < operations; ++i) {
    Item*& slot = live[random.below(kLive)];
    if (i % 4 == 0) slot = table[random.below(kTable)].exchange(slot, std::memory_order_acq_rel);
    drop(slot, sum);
    slot = make(random);
  }
  for (std::size_t i = kLive - 1; i > 0; --i) std::swap(live[i], live[random.below(i + 1)]);
  for (Item* item : live) drop(item, sum);
  total.add(sum);
}

}  // namespace

int main(int argc, char** argv) {
  const loads::Arguments arguments(argc, argv);
  const unsigned count = arguments.count(4);
  const std::size_t rounds = 10;
  const std::size_t operations = arguments.scaled(6'000'000) / rounds / count + 1;
  std::vector<loads::Checksum> sums(count);
  for (std::size_t round = 0; round < rounds; ++round) {
    std::vector<std::thread> threads;
    for (unsigned i = 0; i < count; ++i) {
      threads.emplace_back(work, 90 + round * count + i, operations, std::ref(sums[i]));
    }
    for (std::thread& thread : threads) thread.join();
  }
  loads::Checksum sum;
  for (const loads::Checksum& one : sums) sum.add(one);
  for (std::atomic<Item*>& item : table) drop(item.load(), sum);
  sum.print("shuffle");
}
