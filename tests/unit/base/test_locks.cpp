// The locks under threads, and what they cost the kernel. Linked with the fake door, which counts.
#include <gtest/gtest.h>

#include "base/mutex.hpp"
#include "fake_sys.hpp"
#include "support.hpp"

namespace {

using namespace stealth;
using test::in_threads;
using test::ms_since;
using test::soon;

// Those that nobody is to wake end by themselves in less.
constexpr std::uint64_t kAnyLongSleep = 1'000'000;

template <class L>
class Locks : public testing::Test {
 protected:
  fake::Fresh fresh_;
};
using Kinds = testing::Types<Mutex, OwnerLock>;
TYPED_TEST_SUITE(Locks, Kinds);

TYPED_TEST(Locks, OneAtATime) {
  for (int const threads : {2, 4, 8}) {
    TypeParam lock;
    std::uint64_t count = 0, other = 0;  // plain: a broken lock loses steps, and TSan sees it
    int const each = test::rounds(40'000);
    in_threads(threads, [&](int) {
      for (int i = 0; i < each; ++i) {
        Hold hold(lock);
        ++count;
        other += count % 2;
      }
    });
    EXPECT_EQ(count, static_cast<std::uint64_t>(threads) * static_cast<std::uint64_t>(each));
    EXPECT_EQ(other, (count + 1) / 2);
  }
}

TYPED_TEST(Locks, UncontendedCostsNoCall) {
  TypeParam lock;
  for (int i = 0; i < 1000; ++i) Hold hold(lock);
  EXPECT_EQ(fake::count(SYS_futex), 0u);
  EXPECT_EQ(fake::count(SYS_sched_yield), 0u);
}

TYPED_TEST(Locks, HeldForLong) {
  fake::only_wakes_end(kAnyLongSleep);
  TypeParam lock;
  lock.lock();
  std::atomic<bool> got{false};
  std::thread waiter([&] {
    Hold hold(lock);
    got = true;
  });
  EXPECT_TRUE(soon([] { return fake::count(SYS_futex) > 0; })) << "it sleeps, and does not burn the processor";
  EXPECT_FALSE(got);
  lock.unlock();
  EXPECT_TRUE(soon([&] { return got.load(); })) << "a lost wake-up";
  waiter.join();
}

TYPED_TEST(Locks, ResetInAForkedChild) {
  TypeParam lock;
  lock.lock();
  lock.reset();
  lock.lock();
  lock.unlock();
}

// Each waiter must be woken by the one before, though only one is woken at a time.
TEST(Mutex, AChainOfWaiters) {
  fake::Fresh const fresh;
  fake::only_wakes_end(kAnyLongSleep);
  for (int round = 0; round < 20; ++round) {
    Mutex mutex;
    mutex.lock();
    std::vector<std::thread> threads;
    std::atomic<int> done{0};
    for (int i = 0; i < 6; ++i) {
      threads.emplace_back([&] {
        Hold hold(mutex);
        ++done;
      });
    }
    EXPECT_TRUE(soon([] { return fake::asleep() == 6; }));
    auto const begin = std::chrono::steady_clock::now();
    mutex.unlock();
    for (std::thread& thread : threads) thread.join();
    EXPECT_EQ(done, 6);
    ASSERT_LT(ms_since(begin), test::kLateMs) << "a lost wake-up";
  }
}

TEST(Mutex, TryLock) {
  Mutex mutex;
  EXPECT_TRUE(mutex.try_lock());
  EXPECT_FALSE(mutex.try_lock());
  mutex.unlock();
  EXPECT_TRUE(mutex.try_lock());
  mutex.unlock();
}

TEST(Mutex, TryLockUnderThreads) {
  Mutex mutex;
  std::uint64_t count = 0;
  std::atomic<std::uint64_t> taken{0};
  in_threads(4, [&](int) {
    for (int i = 0; i < test::rounds(50'000); ++i) {
      if (!mutex.try_lock()) continue;
      ++count;
      ++taken;
      mutex.unlock();
    }
  });
  EXPECT_EQ(count, taken);
  EXPECT_GT(count, 0u);
}

TEST(OwnerLock, IsHeld) {
  OwnerLock lock;
  EXPECT_FALSE(lock.is_held());
  lock.lock();
  EXPECT_TRUE(lock.is_held());
  lock.unlock();
  EXPECT_FALSE(lock.is_held());
}

}  // namespace
