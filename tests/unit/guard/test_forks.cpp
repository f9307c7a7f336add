// fork under STEALTH_GUARD=full: the child has all blocks of its parent, and frees them, also those of threads that are
// not there, whatever these were at.
#include <sys/wait.h>

#include "guarded.hpp"

namespace {

using namespace stealth;
using test::Owned;

// What the child's body gives back is its exit status: 0 is well.
template <class Body>
void in_child(Body body) {
  pid_t const child = fork();
  ASSERT_GE(child, 0);
  if (child == 0) {
    alarm(250);  // a deadlock ends by a signal
    int const status = body();
    _exit(testing::Test::HasFailure() ? 1 : status);
  }
  int status = -1;
  ASSERT_EQ(waitpid(child, &status, 0), child);
  ASSERT_TRUE(WIFEXITED(status)) << "signal " << WTERMSIG(status);
  ASSERT_EQ(WEXITSTATUS(status), 0);
}

// Uses every kind of memory; 0, or the number of what went wrong. Allocates by nobody else: other threads may have been
// inside of the C library's malloc.
int exercise() {
  for (std::size_t size = 1; size < kMiB; size += size / 2 + 3) {
    Owned blocks[5];
    for (Owned& block : blocks) {
      auto* const p = static_cast<char*>(allocate(size));
      if (p == nullptr || !test::unwritten(p, size, size) || usable_size(p) != size) return 11;
      block = {p, size, fuzz::new_seed()};
      fuzz::fill(block.at, size, block.seed);
    }
    for (Owned& block : blocks) {
      block.at = static_cast<char*>(reallocate(block.at, size * 2));
      if (block.at == nullptr || !block.holds()) return 12;
    }
    for (Owned const& block : blocks) deallocate(block.at);
  }
  trim();
  guard::check_everything();
  return engine_is_valid() ? 0 : 13;
}

TEST(GuardFork, TheChildGoesOn) {
  std::vector<Owned> blocks = test::own_many(300, 300), spans = test::own_many(5, 100'000);
  blocks.insert(blocks.end(), spans.begin(), spans.end());
  std::uint64_t const live = test::live();
  in_child([&] {
    if (test::live() != live) return 1;
    for (Owned const& block : blocks) {
      if (!block.holds()) return 2;
      deallocate(block.at);
    }
    if (test::live() != 0) return 3;
    return exercise();
  });
  test::give_back(blocks);
  test::expect_sound();
}

TEST(GuardFork, BlocksOfThreadsThatAreNotThere) {
  std::vector<Owned> blocks;
  std::atomic<bool> made{false}, done{false};
  std::thread owner([&] {
    blocks = test::own_many(2000, 120);
    made = true;
    while (!done) std::this_thread::yield();
  });
  ASSERT_TRUE(test::soon([&] { return made.load(); }));
  in_child([&] {
    for (Owned const& block : blocks) {
      if (!block.holds()) return 1;
      deallocate(block.at);
    }
    if (test::live() != 0) return 2;
    return exercise();
  });
  done = true;
  owner.join();
  test::give_back(blocks);
  test::expect_sound();
}

// Others are in the middle of everything: allocate, free, free each other's.
TEST(GuardFork, Storm) {
  std::atomic<bool> done{false};
  std::atomic<void*> between{nullptr};
  std::vector<std::thread> threads;
  std::barrier end(3);  // none ends while another goes on: see in_threads()
  for (int index = 0; index < 3; ++index) {
    threads.emplace_back([&, index] {
      test::Random random(static_cast<std::uint64_t>(index) + 70);
      while (!done) {
        void* p = test::own_fresh(random.skewed(random.one_in(20) ? 300'000 : 4000)).at;
        if (random.one_in(2)) p = between.exchange(p);
        deallocate(p);
        if (random.one_in(500)) trim();
      }
      end.arrive_and_wait();
    });
  }
  for (int i = 0; i < test::rounds(40) && !testing::Test::HasFailure(); ++i) {
    in_child([] { return exercise(); });
    test::give_back(test::own_fresh(1000));
  }
  done = true;
  for (std::thread& thread : threads) thread.join();
  deallocate(between.load());
  EXPECT_EQ(test::live(), 0u);
  test::expect_sound();
}

}  // namespace
