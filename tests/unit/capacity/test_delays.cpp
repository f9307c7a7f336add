// Sleeps that slow growth down: below the capacity, to the rate of release; above it, where nobody releases.
#include "dreaming.hpp"

#include <sys/single_threaded.h>

#include <utility>

namespace {

using namespace stealth;
using test::Caller;
using test::charge;
using test::full_at;
using test::kMs;
using test::kSecond;

class Soft : public test::Dreaming {
 protected:
  void SetUp() override {
    Dreaming::SetUp();
    limits_ = full_at(64 * kMiB, 500);
    budget_.configure(limits_);
    ASSERT_TRUE(charge(budget_, 60 * kMiB));
  }
  CapacityLimits limits_;
};

TEST_F(Soft, WithoutEvidenceNobodyIsDelayed) {
  Caller caller;
  EXPECT_EQ(take(caller, 2 * kMiB, Verdict::again), 0u);
  budget_.freed(kMiB, nullptr, &caller.account);
  EXPECT_EQ(take(caller, kMiB, Verdict::again), 0u) << "its own releases are no evidence";
  free_elsewhere();
  dream_.pass(kSecond);
  EXPECT_EQ(take(caller, kMiB, Verdict::again), 0u) << "long ago";
}

TEST_F(Soft, OneDelayForEachCall) {
  free_elsewhere();
  Caller caller;
  EXPECT_EQ(caller.refusal(budget_, kMiB), Refusal::delay);
  for (int i = 0; i < 3; ++i) {
    dream_.sleeps.clear();
    dream_.pass(500 * kMs);
    free_elsewhere();
    std::uint64_t const took = take(caller, kMiB, Verdict::again);
    EXPECT_GT(took, 0u);
    EXPECT_LE(took, limits_.backoff.max_wait_ns);
  }
  EXPECT_EQ(budget_.held(), 63 * kMiB);
  EXPECT_FALSE(budget_.has_waiters());
  EXPECT_GE(budget_.facts().waits, 3u);
}

// What the user sets for a call holds for its delays, too.
TEST_F(Soft, NoDelayIsLongerThanACallMayWait) {
  for (auto const limit : {&BackoffLimits::patience_ns, &BackoffLimits::max_elapsed_ns, &BackoffLimits::max_wait_ns}) {
    for (std::uint64_t const most : {kMs, kMs / 2}) {
      CapacityLimits limits = limits_;
      limits.backoff.*limit = most;
      budget_.configure(limits);
      dream_.pass(500 * kMs);
      free_elsewhere();
      Caller caller;
      EXPECT_LE(take(caller, kMiB, Verdict::again), most);
      budget_.release(kMiB);
    }
  }
}

TEST_F(Soft, SmallDebtsAreNotSleptFor) {
  free_elsewhere();
  Caller caller;
  std::uint64_t const quantum = debt_quantum(limits_.capacity);
  std::uint64_t most = 0;
  for (std::uint64_t bytes = 0; bytes + 512 < quantum; bytes += 512)
    most = std::max(most, take(caller, 512, Verdict::again));
  EXPECT_EQ(most, 0u);
}

// Who frees as much as it takes does not make the process grow: those sleep for it who have freed nothing. In a
// pipeline the stage in the middle would be starved otherwise, and those behind it.
TEST_F(Soft, WhatAThreadHasFreedItTakesWithoutADelay) {
  free_elsewhere();
  Caller middle, first;
  budget_.freed(kMiB, nullptr, &middle.account);
  EXPECT_EQ(take(middle, kMiB, Verdict::again), 0u);
  EXPECT_EQ(middle.account.credit, 0u);
  std::uint64_t const debt = take(first, kPage, Verdict::again);
  EXPECT_GE(debt, kShortestSleep) << "for a page, and for what the other has taken";
  dream_.pass(500 * kMs);
  free_elsewhere();
  EXPECT_GT(take(middle, kMiB, Verdict::again), 0u) << "used up";
}

TEST_F(Soft, IdleMemoryInsteadOfADelay) {
  free_elsewhere();
  Caller caller;
  Charge charge{.level = Level::within, .account = &caller.account, .idle = 10 * kMiB};
  EXPECT_TRUE(budget_.try_charge(kMiB, charge)) << "what lies idle can be purged instead";
}

TEST_F(Soft, WhoIsNotToBeHeldUpIsNotDelayed) {
  free_elsewhere();
  EXPECT_TRUE(charge(budget_, kMiB)) << "without an account";
  Caller caller;
  std::uint64_t const begin = dream_.now();
  EXPECT_NE(caller.take(budget_, kMiB, {}, test::never), Verdict::again) << "the policy decides";
  EXPECT_EQ(dream_.now(), begin);
}

// At the rate of release, and no faster: the process comes to rest below the capacity.
TEST_F(Soft, GrowthKeepsToTheRateOfRelease) {
  constexpr std::uint64_t kRate = 20 * kMiB, kEach = kRate / 10'000;
  limits_.backoff.jitter = 500;
  budget_.configure(limits_);
  std::uint64_t released = 0, peak = 0;
  dream_.every(kSecond / 10'000, [&] {
    release_elsewhere(kEach);
    released += kEach;
  });
  dream_.pass(100 * kMs);
  Caller caller;
  std::uint64_t const begin = dream_.now();
  std::uint64_t taken = 0;
  while (dream_.now() < begin + 3 * kSecond) {
    ASSERT_EQ(caller.take(budget_, kPage), Verdict::again);
    taken += kPage;
    peak = std::max(peak, budget_.held());
    dream_.pass(2000);
  }
  EXPECT_LT(peak, limits_.capacity - limits_.capacity / 256);
  EXPECT_LE(taken, released + limits_.capacity / 10);
  EXPECT_GE(taken, released * 9 / 10) << "and it is made use of";
  EXPECT_EQ(budget_.facts().refusals, 0u);
}

// Above the capacity.
using Over = test::Dreaming;

// As long as it lives, libc says that the process has one thread.
struct Single {
  char const before = std::exchange(__libc_single_threaded, char{1});
  ~Single() { __libc_single_threaded = before; }
};

// Nobody else could release anything: growth costs time, and goes on.
TEST_F(Over, ASingleThreadIsOnlySlowed) {
  Single const single;
  constexpr std::uint64_t kWhole = 64 * kMiB;
  CapacityLimits limits = full_at(kWhole, 500, OnExhausted::grant);
  fill(limits);
  Caller caller;
  std::uint64_t const begin = dream_.now();
  while (budget_.held() < kWhole + 16 * kMiB) ASSERT_NE(caller.take(budget_, kPage), Verdict::refused);
  std::uint64_t const took = dream_.now() - begin;
  EXPECT_GE(took, 16 * kMiB / (64 * kKiB) * kMs * 9 / 10) << "1 ms for 64 KiB at the least";
  EXPECT_LE(dream_.longest(), limits.backoff.max_wait_ns);
  EXPECT_FALSE(budget_.has_waiters());
}

TEST_F(Over, NoPriceIsHigherThanACallMayWait) {
  Single const single;
  for (auto const limit : {&BackoffLimits::patience_ns, &BackoffLimits::max_elapsed_ns, &BackoffLimits::max_wait_ns}) {
    for (std::uint64_t const most : {kMs, kMs / 2}) {
      Budget budget;
      CapacityLimits limits = full_at(kMiB, 500, OnExhausted::grant);
      limits.backoff.*limit = most;
      budget.configure(limits);
      ASSERT_TRUE(charge(budget, kMiB));
      std::uint64_t const begin = dream_.now();
      EXPECT_EQ(Caller().take(budget, kMiB), Verdict::granted);
      EXPECT_LE(dream_.now() - begin, most);
    }
  }
}

}  // namespace
