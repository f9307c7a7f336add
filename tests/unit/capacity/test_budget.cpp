// Charging and releasing: exact under threads, never over the capacity, and what is counted.
#include <gtest/gtest.h>

#include "capacity/budget.hpp"
#include "support.hpp"

namespace {

using namespace stealth;

CapacityLimits capacity(std::uint64_t bytes) {
  CapacityLimits limits;
  limits.capacity = bytes;
  return limits;
}

TEST(Budget, UpToTheCapacityAndNoFurther) {
  Budget budget;
  budget.configure(capacity(1000));
  EXPECT_TRUE(budget.try_charge(600, Charge::within));
  EXPECT_TRUE(budget.try_charge(400, Charge::within));
  EXPECT_FALSE(budget.try_charge(1, Charge::within));
  EXPECT_EQ(budget.facts().held, 1000u);
  EXPECT_EQ(budget.facts().peak_held, 1000u);
  budget.release(1);
  EXPECT_TRUE(budget.try_charge(1, Charge::within));
  EXPECT_FALSE(budget.try_charge(1, Charge::within));
  budget.release(1000);
  EXPECT_EQ(budget.facts().held, 0u);
  EXPECT_EQ(budget.facts().peak_held, 1000u);
  EXPECT_TRUE(budget.try_charge(1000, Charge::within));
}

TEST(Budget, WithoutACapacityOnlyCounts) {
  Budget budget;
  for (int i = 0; i < 10; ++i) EXPECT_TRUE(budget.try_charge(std::size_t{1} << 50, Charge::within));
  EXPECT_EQ(budget.facts().held, std::uint64_t{10} << 50);
}

TEST(Budget, ModeOffCountsAndRefusesNothing) {
  Budget budget;
  CapacityLimits limits = capacity(1000);
  limits.delays = false;
  budget.configure(limits);
  EXPECT_TRUE(budget.try_charge(5000, Charge::within));
  EXPECT_EQ(budget.facts().held, 5000u);
  EXPECT_EQ(budget.facts().peak_held, 5000u);
  // Switched back, it is over the capacity until enough has come back.
  budget.configure(capacity(1000));
  EXPECT_FALSE(budget.try_charge(1, Charge::within));
  budget.release(4500);
  EXPECT_TRUE(budget.try_charge(500, Charge::within));
}

TEST(Budget, OverTheCapacityWhenTold) {
  Budget budget;
  budget.configure(capacity(1000));
  EXPECT_TRUE(budget.try_charge(3000, Charge::over));
  EXPECT_EQ(budget.facts().held, 3000u);
  EXPECT_EQ(budget.facts().peak_held, 3000u);
  EXPECT_FALSE(budget.try_charge(1, Charge::within));
  budget.release(3000);
  EXPECT_EQ(budget.facts().held, 0u);
}

// Growth is calm up to a point that is set anew, in proportion, each time idle memory has been collected.
TEST(Budget, CalmGrowth) {
  Budget budget;
  EXPECT_FALSE(budget.try_charge(1, Charge::calm)) << "nobody has looked for idle memory yet";
  EXPECT_EQ(budget.held(), 0u);
  budget.raise_calm_limit();
  EXPECT_TRUE(budget.try_charge(kMiB, Charge::calm));
  EXPECT_FALSE(budget.try_charge(1, Charge::calm));
  EXPECT_TRUE(budget.try_charge(63 * kMiB, Charge::within));
  EXPECT_FALSE(budget.try_charge(1, Charge::calm));
  EXPECT_EQ(budget.held(), 64 * kMiB);
  budget.raise_calm_limit();
  EXPECT_TRUE(budget.try_charge(2 * kMiB, Charge::calm));
  EXPECT_FALSE(budget.try_charge(1, Charge::calm));
  budget.release(66 * kMiB);
  budget.raise_calm_limit();
  EXPECT_TRUE(budget.try_charge(66 * kMiB, Charge::calm)) << "what was held once can be had again";
}

TEST(Budget, CalmChargesKeepToTheCapacity) {
  Budget budget;
  budget.configure(capacity(1000));
  budget.raise_calm_limit();
  EXPECT_TRUE(budget.try_charge(1000, Charge::calm));
  EXPECT_FALSE(budget.try_charge(1, Charge::calm));
  EXPECT_EQ(budget.held(), 1000u);
  EXPECT_EQ(budget.facts().peak_held, 1000u);
}

TEST(Budget, CountsVerdicts) {
  Budget budget;
  budget.count_grant();
  budget.count_refusal();
  budget.count_refusal();
  EXPECT_EQ(budget.facts().grants, 1u);
  EXPECT_EQ(budget.facts().refusals, 2u);
}

TEST(Budget, ExactUnderThreads) {
  constexpr std::uint64_t kCapacity = 10'000;
  Budget budget;
  budget.configure(capacity(kCapacity));
  std::atomic<std::uint64_t> charged{0}, refused{0};
  test::in_threads(4, [&](int index) {
    test::Random random(100 + static_cast<std::uint64_t>(index));
    std::vector<std::size_t> mine;
    for (int i = 0; i < test::rounds(200'000); ++i) {
      if (!mine.empty() && random.one_in(2)) {
        charged.fetch_sub(mine.back());
        budget.release(mine.back());
        mine.pop_back();
        continue;
      }
      std::size_t const bytes = 1 + random.below(900);
      if (!budget.try_charge(bytes, Charge::within)) {
        ++refused;
        continue;
      }
      // `charged` comes after the charge and goes before the release: never more than is held.
      ASSERT_LE(charged.fetch_add(bytes) + bytes, kCapacity);
      mine.push_back(bytes);
    }
    for (std::size_t const bytes : mine) charged.fetch_sub(bytes), budget.release(bytes);
  });
  EXPECT_EQ(budget.facts().held, 0u);
  EXPECT_EQ(charged, 0u);
  EXPECT_GT(refused, 0u) << "the capacity was never reached: the test says nothing";
  EXPECT_LE(budget.facts().peak_held, kCapacity);
  EXPECT_GT(budget.facts().peak_held, kCapacity / 2);
  EXPECT_TRUE(budget.try_charge(kCapacity, Charge::within)) << "all of it came back";
}

TEST(Budget, PeakIsTheHighest) {
  Budget budget;
  test::in_threads(4, [&](int) {
    for (int i = 0; i < test::rounds(20'000); ++i) {
      ASSERT_TRUE(budget.try_charge(100, Charge::within));
      budget.release(100);
    }
  });
  EXPECT_GE(budget.facts().peak_held, 100u);
  EXPECT_LE(budget.facts().peak_held, 400u);
  EXPECT_TRUE(budget.try_charge(10'000, Charge::over));
  EXPECT_EQ(budget.facts().peak_held, 10'000u);
}

}  // namespace
