// The signal between the budget and the helper: what raising costs, what is told once, and that nothing is missed.
#include <gtest/gtest.h>

#include "capacity/pressure.hpp"
#include "fake_sys.hpp"
#include "support.hpp"

namespace {

using namespace stealth;
using Level = PressureLevel;

constexpr std::uint64_t kForLong = 180'000'000'000;

class Signal : public testing::Test {
 protected:
  fake::Fresh fresh_;
  PressureSignal signal_;
};

TEST_F(Signal, NobodyListensNothingHappens) {
  for (Level const level : {Level::soft, Level::capacity, Level::exhausted}) signal_.raise(level);
  EXPECT_EQ(signal_.events(), 0u);
  EXPECT_EQ(signal_.raised(), 0u);
  EXPECT_EQ(fake::count(SYS_futex), 0u);
}

TEST_F(Signal, WhatWasRaisedBeforeIsForgotten) {
  signal_.listen(true);
  signal_.raise(Level::capacity);
  signal_.listen(false);
  signal_.raise(Level::exhausted);
  signal_.listen(true);
  EXPECT_EQ(signal_.take(kAllPressureLevels), 0u);
}

TEST_F(Signal, EachLevelIsTakenOnce) {
  signal_.listen(true);
  signal_.raise(Level::capacity);
  signal_.raise(Level::exhausted);
  EXPECT_EQ(signal_.take(only(Level::capacity) | only(Level::soft)), only(Level::capacity));
  EXPECT_EQ(signal_.raised(), only(Level::exhausted));
  EXPECT_EQ(signal_.take(kAllPressureLevels), only(Level::exhausted));
  EXPECT_EQ(signal_.take(kAllPressureLevels), 0u);
}

// Whoever raises in the middle of malloc makes a system call for the first of many only.
TEST_F(Signal, WakesOnceUntilItIsTaken) {
  signal_.listen(true);
  for (int i = 0; i < 1000; ++i) signal_.raise(Level::capacity);
  EXPECT_EQ(fake::count(SYS_futex), 1u);
  EXPECT_EQ(signal_.events(), 1u);
  static_cast<void>(signal_.take(kAllPressureLevels));
  signal_.raise(Level::capacity);
  EXPECT_EQ(fake::count(SYS_futex), 2u);
}

TEST_F(Signal, TheSoftPointIsNewsOnlyAfterACalm) {
  signal_.listen(true);
  signal_.raise(Level::soft);
  EXPECT_EQ(signal_.take(kAllPressureLevels), only(Level::soft));
  signal_.raise(Level::soft);
  EXPECT_EQ(signal_.take(kAllPressureLevels), 0u);
  signal_.calm();
  EXPECT_EQ(signal_.take(kAllPressureLevels), 0u);
  signal_.raise(Level::soft);
  EXPECT_EQ(signal_.take(kAllPressureLevels), only(Level::soft));
}

TEST_F(Signal, WaitsForEventsBeyondThoseThatItKnows) {
  signal_.listen(true);
  std::uint32_t const seen = signal_.events();
  signal_.raise(Level::capacity);
  auto const begin = std::chrono::steady_clock::now();
  signal_.wait_beyond(seen, kForLong);
  EXPECT_LT(test::ms_since(begin), test::kLateMs);
  signal_.wait_beyond(signal_.events(), 10'000'000);
  EXPECT_GE(test::ms_since(begin), 9u);
}

TEST_F(Signal, ANudgeWakesAndRaisesNothing) {
  signal_.listen(true);
  std::uint32_t const seen = signal_.events();
  auto const begin = std::chrono::steady_clock::now();
  std::thread nudger([this] {
    std::this_thread::sleep_for(std::chrono::milliseconds(20));
    signal_.nudge();
  });
  while (signal_.events() == seen) signal_.wait_beyond(seen, kForLong);
  EXPECT_LT(test::ms_since(begin), test::kLateMs);
  EXPECT_EQ(signal_.raised(), 0u);
  nudger.join();
}

// A ping-pong: each raise waits for the listener to have taken it. One that were missed would cost minutes. Where a
// turn takes long, since others want the processor, there are fewer of them.
TEST_F(Signal, NothingIsMissed) {
  signal_.listen(true);
  int const rounds = test::rounds(20'000);
  std::atomic<int> taken{0};
  std::atomic<bool> over{false};
  auto const begin = std::chrono::steady_clock::now();
  std::thread listener([&] {
    while (true) {
      std::uint32_t const events = signal_.events();
      if (over) return;
      if (signal_.take(kAllPressureLevels) != 0) {
        ++taken;
      } else {
        signal_.wait_beyond(events, kForLong);
      }
    }
  });
  for (int i = 0; i < rounds && !HasFailure() && (i < 100 || test::ms_since(begin) < 10'000); ++i) {
    signal_.raise(i % 2 == 0 ? Level::capacity : Level::exhausted);
    auto const raised = std::chrono::steady_clock::now();
    while (taken <= i && test::ms_since(raised) < test::kLateMs) std::this_thread::yield();
    EXPECT_EQ(taken, i + 1) << "missed";
  }
  over = true;
  signal_.nudge();
  listener.join();
}

}  // namespace
