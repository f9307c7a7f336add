// Load: everybody frees what others made. COUNT threads make bursts of mixed small blocks and post each to another
// thread's box; each empties its own box between bursts. A burst is a chain through the blocks themselves, so that the
// exchange needs no memory of its own.
#include <atomic>
#include <thread>
#include <vector>

#include "common.hpp"

namespace {

constexpr std::size_t kWaiting = 8;  // bursts in a box; who would add more empties its own until there is room

struct Message {
  Message* next;
  std::uint64_t key;
  std::size_t size;
};

struct alignas(64) Box {
  std::atomic<Message*> first{nullptr};
  std::atomic<std::size_t> bursts{0};

  void post(Message* head, Message* last) {
    last->next = first.load(std::memory_order_relaxed);
    while (!first.compare_exchange_weak(last->next, head, std::memory_order_release, std::memory_order_relaxed)) {
    }
  }
  void empty(loads::Checksum& sum) {
    bursts.store(0, std::memory_order_relaxed);
    for (Message* at = first.exchange(nullptr, std::memory_order_acquire); at != nullptr;) {
      Message* next = at->next;
      if (at->size > sizeof(Message)) loads::check(at + 1, at->size - sizeof(Message), at->key);
      sum.add(at->key ^ at->size);
      std::free(at);
      at = next;
    }
  }
};

Message* make(loads::Random& random) {
  const std::uint64_t key = random.next();
  const std::size_t size = sizeof(Message) + (key % 16 == 0 ? random.below(1000) : random.below(200));
  auto* message = static_cast<Message*>(std::malloc(size));
  if (message == nullptr) loads::fail("no memory");
  *message = {nullptr, key, size};
  if (size > sizeof(Message)) loads::stamp(message + 1, size - sizeof(Message), key);
  return message;
}

void work(std::vector<Box>& boxes, std::size_t self, std::size_t rounds, std::atomic<unsigned>& busy,
          loads::Checksum& total) {
  loads::Random random(70 + self);
  loads::Checksum sum;
  for (std::size_t i = 0; i < rounds; ++i) {
    Message* last = make(random);
    Message* head = last;
    for (std::size_t n = random.between(20, 400); n > 0; --n) {
      Message* one = make(random);
      one->next = head;
      head = one;
    }
    Box& to = boxes[(self + 1 + random.below(boxes.size() - 1)) % boxes.size()];
    while (to.bursts.fetch_add(1, std::memory_order_relaxed) >= kWaiting) {
      boxes[self].empty(sum);
      std::this_thread::yield();
    }
    to.post(head, last);
    boxes[self].empty(sum);
  }
  for (busy.fetch_sub(1); busy.load() != 0; std::this_thread::yield()) boxes[self].empty(sum);
  total = sum;
}

}  // namespace

int main(int argc, char** argv) {
  const loads::Arguments arguments(argc, argv);
  const unsigned count = arguments.count(4);
  if (count < 2) loads::fail("an exchange takes two threads");
  std::atomic<unsigned> busy{count};
  std::vector<Box> boxes(count);
  std::vector<loads::Checksum> sums(count);
  std::vector<std::thread> threads;
  for (unsigned i = 0; i < count; ++i) {
    threads.emplace_back(work, std::ref(boxes), i, arguments.scaled(60'000) / count + 1, std::ref(busy),
                         std::ref(sums[i]));
  }
  for (std::thread& thread : threads) thread.join();
  loads::Checksum sum;
  for (Box& box : boxes) box.empty(sum);
  for (const loads::Checksum& one : sums) sum.add(one);
  sum.print("exchange");
}
