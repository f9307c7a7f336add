// Threads that come and go: heaps are taken over, whole, and stay few. Built twice: the second program's robust mutexes
// are missing, so that the thread's id is asked for (see no_robust.cpp).
#include <pthread.h>

#include "engine.hpp"

namespace {

using namespace stealth;
using test::Block;
using test::census;
using test::expect_consistent;

std::uint64_t heaps() { return census().all.heaps; }

class Threads : public testing::Test {
 protected:
  void SetUp() override {
    deallocate(allocate(16));
    trim();
    live_ = census().all.live;
  }
  void TearDown() override {
    trim();
    EXPECT_EQ(census().all.live, live_);
    expect_consistent();
  }
  std::uint64_t live_ = 0;
};

// Without robust mutexes a thread's heap is its own for as long as the kernel knows the thread: a moment longer than it
// can be joined, or many moments where others want the processor.
void until_gone(int id) {
  while (os::thread_exists(id)) std::this_thread::yield();
}

// A thread that runs the body and is gone, for the kernel, too.
template <class Body>
void run_and_end(Body body) {
  int id = 0;
  std::thread([&] {
    id = os::thread_id();
    body();
  }).join();
  until_gone(id);
}

TEST_F(Threads, OneAfterTheOther) {
  std::uint64_t const before = heaps();
  for (int i = 0; i < test::rounds(10'000); ++i) {
    run_and_end([] {
      Block block{static_cast<char*>(allocate(100)), 100, 1};
      test::write(block);
      void* const other = allocate(5000);
      EXPECT_TRUE(test::intact(block));
      deallocate(block.at);
      deallocate(other);
    });
  }
  EXPECT_LE(heaps(), before + 1);
}

TEST_F(Threads, WhatTheyHeldIsUsedAgain) {
  run_and_end([] { deallocate(allocate(100)); });
  std::uint64_t const before = g_budget.held();
  for (int i = 0; i < test::rounds(200); ++i) {
    run_and_end([] {
      std::vector<Block> blocks = test::make_blocks(500, 1000, 1);
      test::free_blocks(blocks);
      void* const span = allocate(300'000);
      std::memset(span, 1, 300'000);
      deallocate(span);
    });
  }
  EXPECT_LE(g_budget.held(), before + 3 * kMiB);
}

// Beginnings and ends overlap. TSan does not see that the kernel orders them.
TEST_F(Threads, ThousandsOverlapping) {
  if (test::kTsan) GTEST_SUCCEED() << "what overlaps here, TSan takes for races";
  std::uint64_t const before = heaps();
  constexpr int kAtOnce = 12;
  std::atomic<int> left{test::kTsan ? 0 : test::rounds(10'000)};
  std::vector<std::thread> starters;
  for (int i = 0; i < kAtOnce; ++i) {
    starters.emplace_back([&] {
      while (left-- > 0) {
        run_and_end([] {
          std::vector<Block> blocks = test::make_blocks(5, 300, 7);
          test::free_blocks(blocks);
        });
      }
    });
  }
  for (std::thread& starter : starters) starter.join();
  EXPECT_LE(heaps(), before + 3 * kAtOnce);
}

TEST_F(Threads, DetachedCancelledAndExited) {
  std::uint64_t const before = heaps();
  int const groups = test::rounds(300);
  for (int i = 0; i < groups; ++i) {
    static std::atomic<int> ended, last_id;
    ended = 0;
    auto const body = [](void* how) -> void* {
      struct AtExit {
        ~AtExit() {
          deallocate(allocate(4000));
          ++ended;
        }
      };
      static thread_local AtExit at_exit;
      static_cast<void>(&at_exit);
      last_id = os::thread_id();
      deallocate(allocate(200));
      if (how == nullptr) return nullptr;
      if (how == &ended) pthread_exit(nullptr);
      while (true) usleep(10'000);
    };
    pthread_t exited, cancelled;
    ASSERT_EQ(pthread_create(&exited, nullptr, body, &ended), 0);
    ASSERT_EQ(pthread_join(exited, nullptr), 0);
    until_gone(last_id);
    ASSERT_EQ(pthread_create(&cancelled, nullptr, body, &live_), 0);
    ASSERT_EQ(pthread_cancel(cancelled), 0);
    ASSERT_EQ(pthread_join(cancelled, nullptr), 0);
    until_gone(last_id);
    if (!test::kTsan) {  // nothing orders its end for TSan
      pthread_t detached;
      pthread_attr_t attributes;
      pthread_attr_init(&attributes);
      pthread_attr_setdetachstate(&attributes, PTHREAD_CREATE_DETACHED);
      ASSERT_EQ(pthread_create(&detached, &attributes, body, nullptr), 0);
      pthread_attr_destroy(&attributes);
      ASSERT_TRUE(test::soon([] { return ended == 3; }));
      until_gone(last_id);
    }
  }
  EXPECT_LE(heaps(), before + 2);
}

// A trim takes ended threads' heaps over for a moment. They, and its own, must be there for the next threads.
TEST_F(Threads, TrimsLoseNoHeap) {
  auto const several = [] {
    int ids[4] = {};
    test::in_threads(4, [&](int index) {
      ids[index] = os::thread_id();
      deallocate(allocate(64));
    });
    for (int const id : ids) until_gone(id);
  };
  several();
  std::uint64_t const before = heaps();
  for (int i = 0; i < 60; ++i) {
    several();
    trim();
    run_and_end([] {
      deallocate(allocate(64));
      trim();
      deallocate(allocate(64));
      trim();
    });
  }
  EXPECT_LE(heaps(), before + 1);
}

// A heap whose thread lives is nobody else's, however often everything is trimmed and collected.
TEST_F(Threads, LivingThreadsKeepTheirHeaps) {
  std::atomic<bool> done{false};
  std::atomic<Heap*> seen[4] = {};
  test::in_threads(4, [&](int index) {
    deallocate(allocate(64));
    seen[index] = t_thread.heap;
    while (std::any_of(std::begin(seen), std::end(seen), [](auto const& heap) { return heap == nullptr; })) {
      std::this_thread::yield();
    }
    if (index == 0) {
      for (int i = 0; i < 50; ++i) {
        trim();
        run_and_end([&] {
          deallocate(allocate(64));
          for (auto const& other : seen) EXPECT_NE(t_thread.heap, other.load());
        });
      }
      done = true;
    } else {
      while (!done) {
        deallocate(allocate(64));
        std::this_thread::yield();
      }
    }
    EXPECT_EQ(seen[index].load(), t_thread.heap);
  });
}

TEST_F(Threads, BlocksOutliveTheirThreads) {
  std::vector<Block> blocks;
  for (std::uint64_t i = 0; i < 50; ++i) {
    run_and_end([&] {
      for (std::size_t const size : {16u, 700u, 9000u, 70'000u}) blocks.push_back(test::make_blocks(1, size, i)[0]);
    });
  }
  expect_consistent();
  EXPECT_GE(census().all.live, live_ + 50 * 79'716);
  test::free_blocks(blocks);
}

TEST_F(Threads, TheProgramsOwnRobustMutexes) {
  pthread_mutexattr_t robust;
  pthread_mutexattr_init(&robust);
  pthread_mutexattr_setrobust(&robust, PTHREAD_MUTEX_ROBUST);
  pthread_mutex_t before, after;
  if (pthread_mutex_init(&before, &robust) != 0)
    GTEST_SUCCEED();  // in the program where they are missing
  else {
    pthread_mutex_init(&after, &robust);
    for (int i = 0; i < 20; ++i) {
      test::in_threads(3, [](int) { deallocate(allocate(64)); });
      std::thread([&] {
        pthread_mutex_lock(&before);
        deallocate(allocate(64));
        trim();
        pthread_mutex_lock(&after);
        deallocate(allocate(64));
      }).join();
      for (pthread_mutex_t* const mutex : {&before, &after}) {
        ASSERT_EQ(pthread_mutex_trylock(mutex), EOWNERDEAD);
        ASSERT_EQ(pthread_mutex_consistent(mutex), 0);
        ASSERT_EQ(pthread_mutex_unlock(mutex), 0);
      }
    }
  }
  pthread_mutexattr_destroy(&robust);
}

}  // namespace
