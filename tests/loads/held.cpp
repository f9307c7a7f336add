// Load: COUNT threads that are all alive and each hold a little: 24 blocks of many sizes, some 8 KiB. Tells what that
// takes (`resident_kib` when all have begun, `resident_after_kib` when each has replaced blocks for a while) and what a
// replacement costs in CPU time, to be compared between few threads and many. The work is the same for any COUNT.
#include <latch>
#include <thread>
#include <vector>

#include "common.hpp"

namespace {

constexpr std::size_t kHeld = 24;

struct Meeting {
  explicit Meeting(std::ptrdiff_t count) : begun(count), go(1), done(count), end(1) {}
  std::latch begun, go, done, end;
};

struct Result {
  loads::Checksum sum;
  double ns = 0;
};

void work(Meeting& meeting, std::uint64_t seed, std::size_t operations, Result& result) {
  loads::Random random(seed);
  Result own;
  loads::Block held[kHeld];
  for (loads::Block& block : held) block.fill(random.doubling(4, 10), random.next());
  meeting.begun.count_down();
  meeting.go.wait();
  const double begin = loads::thread_ns();
  for (std::size_t i = 0; i < operations; ++i) {
    loads::Block& block = held[random.below(kHeld)];
    block.drop(own.sum);
    block.fill(random.doubling(4, 10), random.next());
  }
  own.ns = loads::thread_ns() - begin;
  meeting.done.count_down();
  meeting.end.wait();
  for (loads::Block& block : held) block.drop(own.sum);
  result = own;
}

}  // namespace

int main(int argc, char** argv) {
  const loads::Arguments arguments(argc, argv);
  const unsigned count = arguments.count(1000);
  const std::size_t each = arguments.scaled(20'000'000) / count + 1;
  Meeting meeting(count);
  std::vector<Result> results(count);
  std::vector<std::thread> threads;
  for (unsigned i = 0; i < count; ++i) {
    threads.emplace_back(work, std::ref(meeting), 5'000 + i, each, std::ref(results[i]));
  }
  meeting.begun.wait();
  std::printf("metric resident_kib %ld\n", loads::resident_kib());
  meeting.go.count_down();
  meeting.done.wait();
  std::printf("metric resident_after_kib %ld\n", loads::resident_kib());
  meeting.end.count_down();
  for (std::thread& thread : threads) thread.join();
  loads::Checksum sum;
  double ns = 0;
  for (const Result& result : results) {
    sum.add(result.sum);
    ns += result.ns;
  }
  std::printf("metric ns_per_op %.2f\n", ns / static_cast<double>(each) / count);
  sum.print("held");
}
