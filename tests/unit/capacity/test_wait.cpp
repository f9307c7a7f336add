// Waiting: by whom it is ended, how long it takes at most, and the verdicts. Times are bounded generously: a busy
// machine is late, and never early.
#include <gtest/gtest.h>

#include "capacity/budget.hpp"
#include "fake_sys.hpp"
#include "support.hpp"

namespace {

using namespace stealth;
using Verdict = Budget::Verdict;
using test::ms_since;
using test::soon;

constexpr std::uint64_t kMs = 1'000'000;

CapacityLimits full_at(std::uint64_t bytes, std::uint64_t patience_ms, OnExhausted policy = OnExhausted::enomem) {
  CapacityLimits limits;
  limits.capacity = bytes;
  limits.backoff = {10 * kMs, patience_ms * kMs, 60'000 * kMs};
  limits.on_exhausted = policy;
  return limits;
}

// A caller as the engine's are: tries, waits, tries again.
Verdict charge_or_wait(Budget& budget, std::size_t bytes, int* steps = nullptr) {
  Budget::Wait wait(budget);
  while (!budget.try_charge(bytes, Charge::within)) {
    Verdict const verdict = wait.step("capacity");
    if (steps != nullptr) ++*steps;
    if (verdict != Verdict::again) return verdict;
  }
  return Verdict::again;
}

class Waiting : public testing::Test {
 protected:
  void SetUp() override { fake::capture(2); }
  static std::string said() {
    std::string all;
    for (std::string const& line : fake::captured()) all += line;
    return all;
  }
  fake::Fresh fresh_;
  Budget budget_;
};

TEST_F(Waiting, TheFirstStepOnlyAnnounces) {
  budget_.configure(full_at(100, 60'000));
  ASSERT_TRUE(budget_.try_charge(100, Charge::within));
  {
    Budget::Wait wait(budget_);
    EXPECT_FALSE(wait.begun());
    EXPECT_EQ(budget_.facts().waiting_now, 0u);
    EXPECT_EQ(wait.step("capacity"), Verdict::again);
    EXPECT_TRUE(wait.begun());
    EXPECT_EQ(budget_.facts().waiting_now, 1u);
    EXPECT_EQ(fake::count(SYS_futex), 0u) << "a release between the try and the announcement would be missed";
    // What is released now, before the sleep, must end the sleep.
    budget_.release(10);
    auto const begin = std::chrono::steady_clock::now();
    EXPECT_EQ(wait.step("capacity"), Verdict::again);
    EXPECT_LT(ms_since(begin), 1000u);
  }
  EXPECT_EQ(budget_.facts().waiting_now, 0u);
  EXPECT_EQ(budget_.facts().waits, 1u);
  EXPECT_GT(budget_.facts().waited_ns, 0u);
  EXPECT_GE(budget_.facts().longest_ns, budget_.facts().waited_ns);
}

TEST_F(Waiting, AWaitThatNeverBeganIsNotCounted) {
  { Budget::Wait const wait(budget_); }
  EXPECT_EQ(budget_.facts().waits, 0u);
  EXPECT_EQ(budget_.facts().waiting_now, 0u);
}

TEST_F(Waiting, EndsByPatience) {
  budget_.configure(full_at(100, 80));
  ASSERT_TRUE(budget_.try_charge(100, Charge::within));
  auto const begin = std::chrono::steady_clock::now();
  EXPECT_EQ(charge_or_wait(budget_, 1), Verdict::refused);
  EXPECT_GE(ms_since(begin), 79u);
  EXPECT_LT(ms_since(begin), 1500u);
  EXPECT_EQ(budget_.facts().refusals, 1u);
  EXPECT_EQ(budget_.facts().grants, 0u);
  EXPECT_EQ(budget_.facts().waits, 1u);
  EXPECT_GE(budget_.facts().longest_ns, 79 * kMs);
  EXPECT_EQ(budget_.facts().held, 100u);
  EXPECT_NE(said().find("stealth: capacity reached: allocation slows down; holding 100 B"), std::string::npos)
      << said();
  EXPECT_NE(said().find("ENOMEM"), std::string::npos) << said();
}

// Where the policy lets allocations through, waits begin short, because they often hold up the very thread that would
// free; they grow up to the patience as long as nothing is released.
TEST_F(Waiting, GrantsComeSoonAtFirst) {
  budget_.configure(full_at(100, 120, OnExhausted::grant));
  ASSERT_TRUE(budget_.try_charge(100, Charge::within));
  EXPECT_EQ(charge_or_wait(budget_, 1), Verdict::granted);
  std::uint64_t const first = budget_.facts().longest_ns;
  EXPECT_EQ(budget_.facts().grants, 1u);
  EXPECT_EQ(budget_.facts().refusals, 0u);
  EXPECT_EQ(budget_.held(), 100u) << "the caller charges";
  EXPECT_NE(said().find("going over it (STEALTH_ON_EXHAUSTED=grant)\n"), std::string::npos) << said();
  EXPECT_TRUE(soon([&] {
    EXPECT_EQ(charge_or_wait(budget_, 1), Verdict::granted);
    return budget_.facts().longest_ns >= 119 * kMs;
  })) << "the longest was "
      << budget_.facts().longest_ns;
  EXPECT_LT(first, 119 * kMs);
  EXPECT_LT(budget_.facts().longest_ns, 1500 * kMs);
}

TEST_F(Waiting, ReportsOnce) {
  budget_.configure(full_at(100, 5));
  ASSERT_TRUE(budget_.try_charge(100, Charge::within));
  for (int i = 0; i < 5; ++i) {
    EXPECT_EQ(charge_or_wait(budget_, 1), Verdict::refused);
    std::this_thread::sleep_for(std::chrono::milliseconds(20));
  }
  EXPECT_EQ(fake::captured().size(), 2u) << said();
}

TEST_F(Waiting, NoPatienceAtAll) {
  budget_.configure(full_at(100, 0));
  ASSERT_TRUE(budget_.try_charge(100, Charge::within));
  auto const begin = std::chrono::steady_clock::now();
  EXPECT_EQ(charge_or_wait(budget_, 1), Verdict::refused);
  EXPECT_EQ(fake::count(SYS_futex), 0u);
  EXPECT_LT(ms_since(begin), 1000u);
}

TEST_F(Waiting, AfterAFruitlessWaitNobodyWaitsForAsLong) {
  budget_.configure(full_at(100, 300));
  ASSERT_TRUE(budget_.try_charge(100, Charge::within));
  EXPECT_EQ(charge_or_wait(budget_, 1), Verdict::refused);
  std::uint64_t const slept = fake::count(SYS_futex);
  auto const begin = std::chrono::steady_clock::now();
  int granted = 0;
  for (; granted < 5 && ms_since(begin) < 200; ++granted) EXPECT_EQ(charge_or_wait(budget_, 1), Verdict::refused);
  if (granted == 5) {
    EXPECT_EQ(fake::count(SYS_futex), slept);
  }
  EXPECT_EQ(budget_.facts().waits, 1u);
  ASSERT_TRUE(soon([&] {
    int steps = 0;
    EXPECT_EQ(charge_or_wait(budget_, 1, &steps), Verdict::refused);
    return steps > 1;
  })) << "and then they wait again";
}

TEST_F(Waiting, AReleaseWakes) {
  budget_.configure(full_at(100, 20'000));
  for (int round = 0; round < 20; ++round) {
    Budget& budget = budget_;
    ASSERT_TRUE(budget.try_charge(100, Charge::within));
    std::atomic<bool> got{false};
    std::thread waiter([&] {
      EXPECT_EQ(charge_or_wait(budget, 40), Verdict::again);
      got = true;
    });
    ASSERT_TRUE(soon([&] { return budget.facts().waiting_now == 1; }));
    std::this_thread::sleep_for(std::chrono::milliseconds(round % 4));
    EXPECT_FALSE(got);
    auto const begin = std::chrono::steady_clock::now();
    budget.release(40);
    waiter.join();
    EXPECT_LT(ms_since(begin), 1000u);
    budget.release(100);
    ASSERT_EQ(budget.facts().held, 0u);
    ASSERT_EQ(budget.facts().waiting_now, 0u);
  }
  EXPECT_EQ(budget_.facts().refusals, 0u);
}

// With waits that only a wake-up ends in time: the slices are as long as the patience.
TEST_F(Waiting, TheWakeUpIsNotTheSlice) {
  CapacityLimits limits = full_at(100, 20'000);
  limits.backoff.max_wait_ns = 20'000 * kMs;
  budget_.configure(limits);
  ASSERT_TRUE(budget_.try_charge(100, Charge::within));
  std::thread waiter([&] { EXPECT_EQ(charge_or_wait(budget_, 100), Verdict::again); });
  ASSERT_TRUE(soon([&] { return fake::count(SYS_futex) >= 10; }));  // the waits have become long by now
  std::this_thread::sleep_for(std::chrono::milliseconds(250));
  auto const begin = std::chrono::steady_clock::now();
  budget_.release(100);
  waiter.join();
  EXPECT_LT(ms_since(begin), 90u) << "woken by the release, not by the clock";
}

TEST_F(Waiting, AnnouncementsWakeToo) {
  CapacityLimits limits = full_at(100, 20'000);
  limits.backoff.max_wait_ns = 20'000 * kMs;
  budget_.configure(limits);
  ASSERT_TRUE(budget_.try_charge(100, Charge::within));
  budget_.announce_free();  // nobody waits: no call
  EXPECT_EQ(fake::count(SYS_futex), 0u);
  std::atomic<bool> stop{false};
  std::atomic<int> steps{0};
  std::thread waiter([&] {
    Budget::Wait wait(budget_);
    while (!stop) {
      ASSERT_EQ(wait.step("a class's max"), Verdict::again);
      ++steps;
    }
  });
  for (int i = 0; i < 50; ++i) {
    int const before = steps;
    ASSERT_TRUE(soon([&] {
      budget_.announce_free();
      return steps > before;
    }));
  }
  stop = true;
  budget_.announce_free();
  waiter.join();
}

// Whoever is fed waits on, past the patience, up to the elapsed time.
TEST_F(Waiting, ReleasesFeedPatience) {
  CapacityLimits limits = full_at(100, 150);
  limits.backoff.max_elapsed_ns = 60'000 * kMs;
  budget_.configure(limits);
  ASSERT_TRUE(budget_.try_charge(100, Charge::within));
  std::atomic<bool> done{false};
  std::thread waiter([&] {
    EXPECT_EQ(charge_or_wait(budget_, 90), Verdict::again);
    done = true;
  });
  auto const begin = std::chrono::steady_clock::now();
  while (ms_since(begin) < 600) {
    std::this_thread::sleep_for(std::chrono::milliseconds(10));
    budget_.release(1);
    EXPECT_TRUE(budget_.try_charge(1, Charge::within));
  }
  EXPECT_FALSE(done);
  budget_.release(100);
  waiter.join();
  EXPECT_EQ(budget_.facts().refusals, 0u);
}

TEST_F(Waiting, ElapsedTimeEndsAFedWait) {
  CapacityLimits limits = full_at(100, 10'000);
  limits.backoff.max_elapsed_ns = 200 * kMs;
  budget_.configure(limits);
  ASSERT_TRUE(budget_.try_charge(100, Charge::within));
  std::atomic<bool> done{false};
  std::thread feeder([&] {
    while (!done) {
      budget_.announce_free();
      std::this_thread::sleep_for(std::chrono::milliseconds(1));
    }
  });
  auto const begin = std::chrono::steady_clock::now();
  EXPECT_EQ(charge_or_wait(budget_, 1), Verdict::refused);
  EXPECT_GE(ms_since(begin), 199u);
  EXPECT_LT(ms_since(begin), 5000u);
  done = true;
  feeder.join();
}

// Threads that hand a scarce budget around: everybody gets through, nobody is refused, nothing is lost.
TEST_F(Waiting, ManyWaiters) {
  budget_.configure(full_at(100, 20'000));
  std::atomic<int> inside{0};
  int const each = test::rounds(400);
  test::in_threads(6, [&](int) {
    for (int i = 0; i < each; ++i) {
      ASSERT_EQ(charge_or_wait(budget_, 50), Verdict::again);
      ASSERT_LE(++inside, 2);
      if (i % 8 == 0) std::this_thread::yield();
      --inside;
      budget_.release(50);
    }
  });
  EXPECT_EQ(budget_.facts().held, 0u);
  EXPECT_EQ(budget_.facts().waiting_now, 0u);
  EXPECT_EQ(budget_.facts().refusals, 0u);
}

TEST_F(Waiting, AChildHasNoWaiters) {
  budget_.configure(full_at(100, 60'000));
  ASSERT_TRUE(budget_.try_charge(100, Charge::within));
  Budget::Wait wait(budget_);
  EXPECT_EQ(wait.step("capacity"), Verdict::again);
  EXPECT_EQ(budget_.facts().waiting_now, 1u);
  budget_.after_fork_in_child();
  EXPECT_EQ(budget_.facts().waiting_now, 0u);
  std::uint64_t const before = fake::count(SYS_futex);
  budget_.release(1);
  EXPECT_EQ(fake::count(SYS_futex), before);
  // `wait` counts itself out once more at the end, as it would not in a child: there its thread is gone.
}

TEST(WaitingDeathTest, AbortSaysWhy) {
  fake::reset();
  Budget budget;
  budget.configure(full_at(4096, 10, OnExhausted::abort));
  ASSERT_TRUE(budget.try_charge(4096, Charge::within));
  EXPECT_EXIT(static_cast<void>(charge_or_wait(budget, 1)), testing::KilledBySignal(SIGABRT),
              "stealth: capacity exhausted: nothing was released in time; holding 4.0 KiB; "
              "STEALTH_ON_EXHAUSTED=abort ends the process\n");
}

}  // namespace
