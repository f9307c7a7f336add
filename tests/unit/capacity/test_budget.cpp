// Charging and releasing: exact under threads, never over the capacity but as documented, and what is counted.
#include <unistd.h>

#include <vector>

#include "callers.hpp"
#include "puppet.hpp"

namespace {

using namespace stealth;
using test::Caller;
using test::capacity;
using test::charge;

TEST(Budget, UpToTheCapacityAndNoFurther) {
  Budget budget;
  budget.configure(capacity(1000));
  EXPECT_TRUE(charge(budget, 600));
  EXPECT_TRUE(charge(budget, 400));
  EXPECT_FALSE(charge(budget, 1));
  EXPECT_EQ(budget.facts().held, 1000u);
  EXPECT_EQ(budget.facts().peak_held, 1000u);
  EXPECT_EQ(budget.facts().used, 1000u);
  EXPECT_EQ(budget.facts().over_bytes, 0u);
  budget.release(1);
  EXPECT_TRUE(charge(budget, 1));
  EXPECT_FALSE(charge(budget, 1));
  budget.release(1000);
  EXPECT_EQ(budget.facts().held, 0u);
  EXPECT_EQ(budget.facts().peak_held, 1000u);
  EXPECT_TRUE(charge(budget, 1000));
}

TEST(Budget, ARefusalSaysWhyAndChangesNothing) {
  Budget budget;
  budget.configure(capacity(1000));
  Charge first{.level = Level::calm};
  EXPECT_FALSE(budget.try_charge(100, first));
  EXPECT_EQ(first.refusal, Refusal::idle_first) << "nobody has looked for idle memory yet";
  first.level = Level::within;
  EXPECT_TRUE(budget.try_charge(700, first));
  EXPECT_FALSE(budget.try_charge(301, first));
  EXPECT_EQ(first.refusal, Refusal::full);
  EXPECT_EQ(first.wanted, 301u);
  EXPECT_EQ(budget.held(), 700u);
  EXPECT_EQ(budget.facts().peak_held, 700u);
}

TEST(Budget, WithoutACapacityOnlyCounts) {
  Budget budget;
  for (int i = 0; i < 10; ++i) EXPECT_TRUE(charge(budget, std::size_t{1} << 50));
  EXPECT_EQ(budget.facts().held, std::uint64_t{10} << 50);
  EXPECT_EQ(budget.facts().over_bytes, 0u);
  EXPECT_FALSE(budget.under_pressure());
  EXPECT_FALSE(budget.is_over());
}

TEST(Budget, ModeOffCountsAndRefusesNothing) {
  Budget budget;
  CapacityLimits limits = capacity(1000);
  limits.mode = Mode::off;
  budget.configure(limits);
  Caller caller;
  EXPECT_TRUE(charge(budget, 3000));
  EXPECT_TRUE(caller.charge(budget, 2000));
  EXPECT_EQ(budget.facts().held, 5000u);
  EXPECT_EQ(budget.facts().peak_held, 5000u);
  EXPECT_FALSE(budget.is_over()) << "nothing is to be paid back";
  // Switched back, it is over the capacity until enough has come back.
  budget.configure(capacity(1000));
  EXPECT_FALSE(charge(budget, 1));
  EXPECT_TRUE(budget.is_over());
  EXPECT_EQ(budget.facts().over_bytes, 4000u);
  budget.release(4500);
  EXPECT_FALSE(budget.is_over());
  EXPECT_TRUE(charge(budget, 500));
}

TEST(Budget, OverTheCapacityWhenTold) {
  Budget budget;
  budget.configure(capacity(1000));
  EXPECT_TRUE(charge(budget, 3000, Level::over));
  budget.charge_anyhow(500);
  EXPECT_EQ(budget.facts().held, 3500u);
  EXPECT_EQ(budget.facts().peak_held, 3500u);
  EXPECT_EQ(budget.facts().over_bytes, 2500u);
  EXPECT_TRUE(budget.is_over());
  EXPECT_FALSE(charge(budget, 1));
  budget.release(3500);
  EXPECT_EQ(budget.facts().held, 0u);
  EXPECT_FALSE(budget.is_over());
}

TEST(Budget, SettingsAreReadBack) {
  Budget budget;
  CapacityLimits const limits = {123'456'789, 1, 950, {1, 2, 3, 4, 5}, OnExhausted::abort, Mode::observe};
  budget.configure(limits);
  CapacityLimits const back = budget.limits();
  EXPECT_EQ(back.capacity, limits.capacity);
  EXPECT_EQ(back.soft, limits.soft);
  EXPECT_EQ(back.cgroup_share, limits.cgroup_share);
  EXPECT_EQ(back.backoff.max_wait_ns, 1u);
  EXPECT_EQ(back.backoff.patience_ns, 2u);
  EXPECT_EQ(back.backoff.max_elapsed_ns, 3u);
  EXPECT_EQ(back.backoff.budget, 4u);
  EXPECT_EQ(back.backoff.jitter, 5u);
  EXPECT_EQ(back.on_exhausted, limits.on_exhausted);
  EXPECT_EQ(back.mode, limits.mode);
  EXPECT_EQ(budget.capacity(), limits.capacity);
}

// Growth is calm up to a point that is set anew, in proportion, each time idle memory has been collected.
TEST(Budget, CalmGrowth) {
  Budget budget;
  auto const grow = [&] {
    std::uint64_t grown = 0;
    for (; charge(budget, kPage, Level::calm); grown += kPage) {
    }
    return grown;
  };
  EXPECT_EQ(grow(), 0u) << "nobody has looked for idle memory yet";
  for (std::uint64_t const more : {std::uint64_t{0}, kMiB, 64 * kMiB, kGiB}) {
    EXPECT_TRUE(more == 0 || charge(budget, more));
    EXPECT_EQ(grow(), 0u);
    std::uint64_t const held = budget.held();
    budget.raise_calm_limit();
    std::uint64_t const grown = grow();
    EXPECT_GE(grown, std::max(held / 64, 64 * kKiB)) << held;
    EXPECT_LE(grown, std::max(held / 8, 4 * kMiB)) << held;
    EXPECT_EQ(budget.held(), held + grown);
  }
  std::uint64_t const most = budget.held();
  budget.release(most);
  budget.raise_calm_limit();
  EXPECT_TRUE(charge(budget, most, Level::calm)) << "what was held once can be had again";
}

TEST(Budget, CalmChargesKeepToTheCapacity) {
  Budget budget;
  budget.configure(capacity(1000));
  budget.raise_calm_limit();
  EXPECT_TRUE(charge(budget, 1000, Level::calm));
  EXPECT_FALSE(charge(budget, 1, Level::calm));
  EXPECT_EQ(budget.held(), 1000u);
  EXPECT_EQ(budget.facts().peak_held, 1000u);
}

// Wherever delays begin: all that the capacity allows can be had, and no more.
TEST(Budget, SoftPoints) {
  for (std::uint32_t const soft : {1u, 10u, 500u, 900u, 999u, 1000u}) {
    for (std::uint64_t const whole : {std::uint64_t{1000}, 10 * kMiB, 10 * kMiB + 123}) {
      Budget budget;
      CapacityLimits limits = capacity(whole);
      limits.soft = soft;
      budget.configure(limits);
      budget.raise_calm_limit();
      Caller caller;
      std::uint64_t const below = whole / 1000 * soft;
      EXPECT_TRUE(caller.charge(budget, below));
      EXPECT_FALSE(budget.under_pressure()) << soft;
      EXPECT_TRUE(caller.charge(budget, whole - below));
      EXPECT_EQ(budget.under_pressure(), whole != below) << soft;
      EXPECT_FALSE(caller.charge(budget, 1)) << soft;
      EXPECT_EQ(budget.held(), whole);
      budget.release(whole);
      EXPECT_TRUE(below < 16 || !budget.under_pressure()) << soft;
    }
  }
}

// Pressure begins above the soft point, and does not end just below it.
TEST(Budget, PressureHasTwoEdges) {
  Budget budget;
  budget.configure(capacity(100 * kMiB));
  EXPECT_TRUE(charge(budget, 89 * kMiB));
  EXPECT_FALSE(budget.under_pressure());
  EXPECT_TRUE(charge(budget, 2 * kMiB));
  EXPECT_TRUE(budget.under_pressure());
  budget.release(2 * kMiB);
  EXPECT_TRUE(budget.under_pressure());
  budget.release(80 * kMiB);
  EXPECT_FALSE(budget.under_pressure());
}

TEST(Budget, ExactUnderThreads) {
  constexpr std::uint64_t kCapacity = 10'000;
  for (std::uint32_t const soft : {900u, 1000u}) {
    for (bool const calm : {false, true}) {
      Budget budget;
      CapacityLimits limits = capacity(kCapacity);
      limits.soft = soft;
      budget.configure(limits);
      if (calm) budget.raise_calm_limit();
      std::atomic<std::uint64_t> charged{0}, refused{0};
      test::in_threads(4, [&](int index) {
        test::Random random(100 + static_cast<std::uint64_t>(index));
        Caller caller;
        std::vector<std::size_t> mine;
        for (int i = 0; i < test::rounds(100'000); ++i) {
          if (!mine.empty() && random.one_in(2)) {
            charged.fetch_sub(mine.back());
            budget.release(mine.back());
            mine.pop_back();
            continue;
          }
          std::size_t const bytes = 1 + random.below(900);
          if (!caller.charge(budget, bytes)) {
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
      EXPECT_LE(budget.facts().peak_held, kCapacity) << "soft point at " << soft;
      EXPECT_GT(budget.facts().peak_held, kCapacity / 2);
      EXPECT_TRUE(charge(budget, kCapacity)) << "all of it came back";
    }
  }
}

// Two members of a group, of two threads each: whoever charges at the same moment, all of them stay within it.
TEST(Budget, MembersTogetherStayWithinTheCapacity) {
  constexpr std::uint64_t kCapacity = 1000;
  Budget members[2];
  for (Budget& member : members) {
    member.configure(capacity(kCapacity));
    ASSERT_EQ(member.group().join("unit-members-" + std::to_string(getpid()), kCapacity), Group::Joined::fine);
  }
  std::atomic<std::uint64_t> charged{0}, refused{0};
  test::in_threads(4, [&](int index) {
    Budget& member = members[index % 2];
    for (int i = 0; i < test::rounds(1'000'000); ++i) {
      constexpr std::uint64_t kBytes = 600;
      if (!charge(member, kBytes)) {
        ++refused;
        continue;
      }
      ASSERT_LE(charged.fetch_add(kBytes) + kBytes, kCapacity);
      charged.fetch_sub(kBytes);
      member.release(kBytes);
    }
  });
  EXPECT_GT(refused, 0u) << "never two at once: the test says nothing";
  for (Budget& member : members) {
    EXPECT_EQ(member.held(), 0u);
    EXPECT_EQ(member.group().used(), 0u);
  }
  for (Budget& member : members) member.group().leave();
}

TEST(Budget, PeakIsTheHighest) {
  Budget budget;
  test::in_threads(4, [&](int) {
    for (int i = 0; i < test::rounds(20'000); ++i) {
      ASSERT_TRUE(charge(budget, 100));
      budget.release(100);
    }
  });
  EXPECT_GE(budget.facts().peak_held, 100u);
  EXPECT_LE(budget.facts().peak_held, 400u);
  EXPECT_TRUE(charge(budget, 10'000, Level::over));
  EXPECT_EQ(budget.facts().peak_held, 10'000u);
}

// The capacity is lowered while others, of whom some are not running at that moment, set anew up to where growth is
// calm: none of them brings back what held before.
TEST(Budget, ALoweredCapacityHolds) {
  Budget budget;
  budget.configure(capacity(kGiB));
  EXPECT_TRUE(charge(budget, kGiB / 2));
  budget.raise_calm_limit();
  budget.release(kGiB / 2);
  for (int i = 0; i < test::rounds(60); ++i) {
    budget.configure(capacity(kGiB));
    std::atomic<bool> stop{false};
    test::in_threads(4, [&](int index) {
      while (index != 0 && !stop.load(std::memory_order_relaxed)) budget.raise_calm_limit();
      if (index != 0) return;
      std::this_thread::yield();
      budget.configure(capacity(kMiB));
      stop = true;
    });
    ASSERT_FALSE(charge(budget, 2 * kMiB)) << "in round " << i;
  }
  EXPECT_EQ(budget.held(), 0u);
}

// --- what a thread may take over the capacity ---

// What a thread has freed itself above the soft point it may take again at the capacity: that much, and within an
// overdraft.
TEST(Overdraft, Credit) {
  constexpr std::uint64_t kWhole = 64 * kMiB;
  Budget budget;
  budget.configure(capacity(kWhole));
  Caller caller, other;
  budget.freed(kMiB, nullptr, &caller.account);
  EXPECT_EQ(caller.account.credit, 0u) << "below the soft point";
  EXPECT_TRUE(charge(budget, kWhole));
  EXPECT_FALSE(caller.charge(budget, kPage));
  budget.freed(2 * kPage, nullptr, &caller.account);
  EXPECT_FALSE(other.charge(budget, kPage)) << "it is another's";
  EXPECT_FALSE(charge(budget, kPage));
  EXPECT_TRUE(caller.charge(budget, kPage));
  EXPECT_TRUE(caller.charge(budget, kPage));
  EXPECT_FALSE(caller.charge(budget, kPage)) << "used up";
  // The overdraft is bounded: a wide one for the only thread that frees anything, else a narrow one for all together.
  budget.freed(10 * kWhole, nullptr, &caller.account);
  while (caller.charge(budget, kPage)) ASSERT_LE(budget.held(), kWhole + kWhole / 8);
  EXPECT_GT(budget.held(), kWhole + kWhole / 64);
  budget.release(budget.held() - kWhole);
  test::Puppet another;
  another.act([&] { budget.freed(10 * kWhole, nullptr, &other.account); });
  budget.freed(10 * kWhole, nullptr, &caller.account);
  while (caller.charge(budget, kPage)) ASSERT_LE(budget.held(), kWhole + kWhole / 64);
  another.act([&] { EXPECT_FALSE(other.charge(budget, 2 * kPage)); });
  EXPECT_GT(budget.held(), kWhole);
}

// All members of a group take over the same capacity, and none knows what the others free.
TEST(Overdraft, NarrowInAGroup) {
  constexpr std::uint64_t kWhole = 64 * kMiB;
  Budget budget;
  budget.configure(capacity(kWhole));
  ASSERT_EQ(budget.group().join("unit-" + std::to_string(getpid()), kWhole), Group::Joined::fine);
  EXPECT_TRUE(charge(budget, kWhole));
  Caller caller;
  budget.freed(10 * kWhole, nullptr, &caller.account);
  while (caller.charge(budget, kPage)) ASSERT_LE(budget.held(), kWhole + kWhole / 256);
  EXPECT_EQ(budget.held(), kWhole + kWhole / 256);
  budget.group().leave();
}

TEST(Overdraft, NoneWhereGoingOverIsNotWanted) {
  for (OnExhausted const policy : {OnExhausted::enomem, OnExhausted::abort}) {
    Budget budget;
    CapacityLimits limits = capacity(64 * kMiB);
    limits.on_exhausted = policy;
    budget.configure(limits);
    EXPECT_TRUE(charge(budget, 64 * kMiB));
    Caller caller;
    budget.freed(kMiB, nullptr, &caller.account);
    EXPECT_FALSE(caller.charge(budget, kPage));
    EXPECT_EQ(budget.held(), 64 * kMiB);
  }
}

TEST(Overdraft, CreditIsNotForPagesBelowTheCapacity) {
  Budget budget;
  budget.configure(capacity(64 * kMiB));
  Caller caller;
  EXPECT_TRUE(charge(budget, 60 * kMiB));
  budget.freed(8 * kPage, nullptr, &caller.account);
  EXPECT_TRUE(caller.charge(budget, 4 * kMiB));
  EXPECT_EQ(caller.account.credit, 8 * kPage);
}

TEST(Overdraft, WhatAGrantLeaves) {
  constexpr std::uint64_t kWhole = 64 * kMiB;
  Budget budget;
  CapacityLimits limits = capacity(kWhole);
  limits.backoff.patience_ns = 0;  // the policy at once
  budget.configure(limits);
  EXPECT_TRUE(charge(budget, kWhole));
  Caller caller, other;
  for (std::uint64_t const bytes : {kPage, 2 * kPage, kMiB, 5 * kMiB, kPage}) {
    std::uint64_t const before = budget.held();
    std::uint64_t const grants = budget.facts().grants;
    std::uint64_t const grant = grant_bytes(kWhole, caller.account.in_vain, 0);
    EXPECT_EQ(caller.take(budget, bytes), Verdict::granted);
    EXPECT_FALSE(other.charge(budget, 1)) << "it is another's";
    std::uint64_t taken = bytes;
    while (caller.charge(budget, 1024)) taken += 1024;
    EXPECT_EQ(budget.facts().grants, grants + 1);
    EXPECT_LE(taken, std::max(bytes, grant));
    EXPECT_GT(taken + 1024, grant) << "all of it can be had";
    EXPECT_EQ(budget.held(), before + taken);
  }
}

// --- observe ---

TEST(Observe, CountsAndNeverRefuses) {
  Budget budget;
  CapacityLimits limits = capacity(kMiB);
  limits.mode = Mode::observe;
  limits.on_exhausted = OnExhausted::abort;
  budget.configure(limits);
  budget.raise_calm_limit();
  Caller caller;
  while (budget.held() < kMiB) ASSERT_TRUE(caller.charge(budget, 16 * kKiB));
  EXPECT_EQ(budget.facts().observed_ns, 0u) << "nobody would have waited so far";
  std::uint64_t before = 0;
  for (int i = 0; i < 20; ++i) {
    ASSERT_TRUE(caller.charge(budget, 16 * kKiB));
    ASSERT_GT(budget.facts().observed_ns, before);
    before = budget.facts().observed_ns;
  }
  EXPECT_TRUE(charge(budget, kMiB)) << "whoever is never delayed would not have been";
  EXPECT_EQ(budget.facts().observed_ns, before);
  EXPECT_EQ(budget.facts().waits, 0u);
  EXPECT_EQ(budget.facts().grants, 0u);
  EXPECT_FALSE(budget.is_over());
  // Somebody feeds: it would have waited until as much had been released.
  test::free_elsewhere(budget, kMiB);
  EXPECT_TRUE(caller.charge(budget, kMiB));
  std::this_thread::sleep_for(std::chrono::milliseconds(50));  // how fast they feed must be known
  EXPECT_TRUE(caller.charge(budget, 16 * kKiB));
  EXPECT_GT(budget.facts().observed_ns, before + 1'000'000);
}

TEST(Observe, LevelsAreAskedForAsEver) {
  Budget budget;
  CapacityLimits limits = capacity(kMiB);
  limits.mode = Mode::observe;
  budget.configure(limits);
  Charge calm{.level = Level::calm};
  EXPECT_FALSE(budget.try_charge(kPage, calm));
  EXPECT_EQ(calm.refusal, Refusal::idle_first);
}

}  // namespace
