// fork: the child goes on with its thread's heap, frees what others allocated, and starts anew with theirs. The
// handlers are registered as the interposer registers them.
#include <pthread.h>
#include <sys/wait.h>

#include "engine.hpp"

namespace {

using namespace stealth;
using test::Block;

class Fork : public testing::Test {
 protected:
  static void SetUpTestSuite() {
    static int const registered = pthread_atfork(fork_prepare, fork_in_parent, fork_in_child);
    ASSERT_EQ(registered, 0);
  }
  void TearDown() override {
    trim();
    test::expect_consistent();
  }

  // What the child's body gives back is its exit status: 0 is well.
  template <class Body>
  static void in_child(Body body) {
    pid_t const child = fork();
    ASSERT_GE(child, 0);
    if (child == 0) {
      alarm(250);  // a deadlock ends by a signal
      _exit(body());
    }
    int status = -1;
    ASSERT_EQ(waitpid(child, &status, 0), child);
    ASSERT_TRUE(WIFEXITED(status)) << "signal " << WTERMSIG(status);
    ASSERT_EQ(WEXITSTATUS(status), 0);
  }

  // Uses every kind of memory; 0, or the number of what went wrong.
  static int exercise() {
    for (std::size_t size = 1; size < 3 * kMiB; size += size / 2 + 3) {
      Block blocks[5];
      for (Block& block : blocks) {
        block = {static_cast<char*>(allocate(size)), size, size};
        if (block.at == nullptr) return 11;
        test::write(block);
      }
      for (Block& block : blocks) {
        block.at = static_cast<char*>(reallocate(block.at, size * 2));
        if (block.at == nullptr || !test::intact(block)) return 12;
      }
      for (Block& block : blocks) deallocate(block.at);
    }
    trim();
    return engine_is_valid() ? 0 : 13;
  }
};

TEST_F(Fork, TheChildGoesOn) {
  std::vector<Block> blocks = test::make_blocks(500, 300, 1);
  std::vector<Block> const spans = test::make_blocks(5, 100'000, 2);
  blocks.insert(blocks.end(), spans.begin(), spans.end());
  Heap* const heap = t_thread.heap;
  std::uint64_t const held = g_budget.held();
  in_child([&] {
    if (g_budget.held() != held) return 1;
    if (!engine_is_valid()) return 2;
    for (Block const& block : blocks) {
      if (!test::intact(block)) return 3;
      deallocate(block.at);
    }
    if (t_thread.heap != heap) return 4;
    return exercise();
  });
  test::free_blocks(blocks);
}

TEST_F(Fork, GrandChildren) {
  in_child([] {
    in_child([] {
      in_child([] { return exercise(); });
      return HasFailure() ? 21 : exercise();
    });
    return HasFailure() ? 22 : exercise();
  });
}

TEST_F(Fork, BlocksOfThreadsThatAreNotThere) {
  std::vector<Block> blocks;
  std::atomic<bool> made{false}, done{false};
  std::thread owner([&] {
    blocks = test::make_blocks(2000, 120, 3);
    made = true;
    while (!done) std::this_thread::yield();
  });
  ASSERT_TRUE(test::soon([&] { return made.load(); }));
  in_child([&] {
    for (Block const& block : blocks) {
      if (!test::intact(block)) return 1;
      deallocate(block.at);
    }
    trim();
    if (test::census().in_use(120) > 300) return 2;  // the owner's list is lost to the child, the rest is not
    return exercise();
  });
  done = true;
  owner.join();
  test::free_blocks(blocks);
}

TEST_F(Fork, FromAnotherThread) {
  std::thread([] { in_child([] { return exercise(); }); }).join();
}

TEST_F(Fork, TheChildsOwnThreads) {
  if (test::kTsan) GTEST_SUCCEED() << "TSan refuses threads in a child of threads";
  std::uint64_t const heaps = test::census().all.heaps;
  for (int i = 0; i < (test::kTsan ? 0 : 5); ++i) {
    in_child([&] {
      test::in_threads(4, [](int) { static_cast<void>(exercise()); });
      if (test::census().all.heaps > heaps + 4) return 2;
      return exercise();
    });
  }
}

// Others are in the middle of everything.
TEST_F(Fork, Storm) {
  std::atomic<bool> done{false};
  test::Mailbox box;
  std::vector<std::thread> threads;
  std::barrier end(3);  // none ends while another trims: see in_threads()
  for (int index = 0; index < 3; ++index) {
    threads.emplace_back([&, index] {
      test::Random random(static_cast<std::uint64_t>(index) + 70);
      Block block;
      while (!done) {
        std::size_t const size = random.skewed(random.one_in(20) ? 300'000 : 4000);
        block = {static_cast<char*>(allocate(size)), size, random.next()};
        test::write(block);
        if (random.one_in(2)) {
          box.put(block);
        } else {
          deallocate(block.at);
        }
        if (box.size() > 200 && box.take(block)) deallocate(block.at);
        if (random.one_in(500)) trim();
      }
      end.arrive_and_wait();
    });
  }
  for (int i = 0; i < test::rounds(60) && !HasFatalFailure(); ++i) {
    in_child([] { return exercise(); });
    deallocate(allocate(1000));
  }
  done = true;
  for (std::thread& thread : threads) thread.join();
  for (Block block; box.take(block);) {
    EXPECT_TRUE(test::intact(block));
    deallocate(block.at);
  }
}

}  // namespace
