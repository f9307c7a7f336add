// What the budget tells a listener: each level when it is news, and nothing to nobody.
#include "callers.hpp"

namespace {

using namespace stealth;
using test::Caller;
using test::charge;
using test::full_at;

using Pressure = test::Waiting;

TEST_F(Pressure, NobodyListens) {
  budget_.configure(full_at(kMiB, 0));
  ASSERT_TRUE(charge(budget_, kMiB));
  EXPECT_EQ(Caller().take(budget_, 1), Verdict::refused);
  EXPECT_EQ(budget_.pressure().raised(), 0u);
  EXPECT_EQ(budget_.pressure().events(), 0u);
  EXPECT_EQ(fake::count(SYS_futex), 0u);
}

TEST_F(Pressure, EachLevelAsItIsReached) {
  PressureSignal& signal = budget_.pressure();
  signal.listen(true);
  budget_.configure(full_at(kMiB, 0));
  ASSERT_TRUE(charge(budget_, kMiB / 2));
  EXPECT_EQ(signal.raised(), 0u);
  ASSERT_TRUE(charge(budget_, kMiB / 2 - kPage));
  EXPECT_EQ(signal.raised(), only(PressureLevel::soft));
  EXPECT_EQ(Caller().take(budget_, 2 * kPage), Verdict::refused);
  EXPECT_EQ(signal.raised(), kAllPressureLevels);
  EXPECT_EQ(signal.take(only(PressureLevel::capacity)), only(PressureLevel::capacity));
  EXPECT_EQ(signal.take(kAllPressureLevels), kAllPressureLevels & ~only(PressureLevel::capacity));
  EXPECT_EQ(signal.take(kAllPressureLevels), 0u);
}

// The soft point is news again once it was calm; that calls wait, whenever they do.
TEST_F(Pressure, News) {
  PressureSignal& signal = budget_.pressure();
  signal.listen(true);
  budget_.configure(full_at(kMiB, 0));
  for (int i = 0; i < 3; ++i) {
    ASSERT_TRUE(charge(budget_, kMiB));
    EXPECT_EQ(signal.take(kAllPressureLevels), only(PressureLevel::soft));
    budget_.release(2 * kPage);
    ASSERT_TRUE(charge(budget_, kPage));
    EXPECT_EQ(signal.take(kAllPressureLevels), 0u) << "known already";
    EXPECT_EQ(Caller().take(budget_, 3 * kPage), Verdict::refused);
    EXPECT_EQ(Caller().take(budget_, 3 * kPage), Verdict::refused);
    EXPECT_EQ(signal.take(kAllPressureLevels), only(PressureLevel::capacity) | only(PressureLevel::exhausted));
    budget_.release(kMiB - kPage);
  }
  signal.listen(false);
  ASSERT_TRUE(charge(budget_, kMiB));
  EXPECT_EQ(signal.raised(), 0u);
}

TEST_F(Pressure, TheListenerIsWoken) {
  PressureSignal& signal = budget_.pressure();
  signal.listen(true);
  budget_.configure(full_at(kMiB, 0));
  std::uint32_t const before = signal.events();
  std::thread listener([&] {
    auto const begin = std::chrono::steady_clock::now();
    while (signal.take(kAllPressureLevels) == 0) signal.wait_beyond(before, 200 * test::kSecond);
    EXPECT_LT(test::ms_since(begin), 100'000u);
  });
  std::this_thread::sleep_for(std::chrono::milliseconds(50));
  ASSERT_TRUE(charge(budget_, kMiB));
  listener.join();
  EXPECT_NE(signal.events(), before);
}

}  // namespace
