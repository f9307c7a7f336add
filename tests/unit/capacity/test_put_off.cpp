// Threads that take locks do not wait where they allocate, but where they take the next one: what is put off, how much
// of it, and what follows when no lock comes.
#include <vector>

#include "dreaming.hpp"

namespace {

using namespace stealth;
using test::Caller;
using test::charge;
using test::full_at;
using test::kMs;

constexpr std::uint64_t kWhole = 64 * kMiB;

using PutOff = test::Dreaming;

struct Locker : Caller {
  Locker() { account.takes_locks = true; }
};

TEST_F(PutOff, DelaysAddUp) {
  CapacityLimits limits = full_at(kWhole, 500);
  limits.backoff.max_wait_ns = 100 * kMs;
  budget_.configure(limits);
  ASSERT_TRUE(charge(budget_, 60 * kMiB));
  free_elsewhere();
  Locker caller;
  EXPECT_EQ(take(caller, 64 * kKiB, Verdict::again), 0u);
  std::uint64_t const first = caller.account.due_ns;
  EXPECT_GE(first, kShortestSleep);
  EXPECT_EQ(take(caller, 64 * kKiB, Verdict::again), 0u);
  EXPECT_GT(caller.account.due_ns, first);
  EXPECT_EQ(budget_.held(), 60 * kMiB + 128 * kKiB) << "it has them";
  EXPECT_TRUE(caller.account.takes_locks);
}

TEST_F(PutOff, NoLockCameForALongDelay) {
  CapacityLimits limits = full_at(kWhole, 500);
  limits.backoff.max_wait_ns = 100 * kMs;
  budget_.configure(limits);
  ASSERT_TRUE(charge(budget_, 60 * kMiB));
  free_elsewhere();
  Locker caller;
  caller.account.due_ns = 99 * kMs + kMs / 2;
  EXPECT_GE(take(caller, kMiB, Verdict::again), 99 * kMs) << "for what was put off, too";
  EXPECT_EQ(caller.account.due_ns, 0u);
  EXPECT_FALSE(caller.account.takes_locks);
}

TEST_F(PutOff, OverTheCapacityByLittle) {
  fill(full_at(kWhole, 500, OnExhausted::grant));
  free_elsewhere();
  Locker caller;
  std::uint64_t const most = advance_bytes(kWhole);
  EXPECT_EQ(take(caller, most / 2, Verdict::again), 0u);
  EXPECT_EQ(take(caller, most / 2, Verdict::again), 0u);
  EXPECT_EQ(caller.account.advance, most);
  EXPECT_EQ(budget_.held(), kWhole + most);
  EXPECT_EQ(budget_.facts().grants, 0u) << "it will be asked for";
  EXPECT_GT(take(caller, kPage, Verdict::granted), 0u) << "no lock came";
  EXPECT_EQ(caller.account.advance, 0u);
  EXPECT_FALSE(caller.account.takes_locks);
  EXPECT_EQ(take(caller, kPage, Verdict::again), 0u) << "the rest of the grant";
}

TEST_F(PutOff, WhatIsAskedForIsNotPutOffAgain) {
  fill(full_at(kWhole, 500, OnExhausted::grant));
  Locker caller;
  EXPECT_EQ(take(caller, kPage, Verdict::again), 0u);
  EXPECT_EQ(budget_.end_advance(caller.account), kPage);
  EXPECT_EQ(budget_.end_advance(caller.account), 0u) << "once";
  Charge charge{.level = Level::within, .account = &caller.account, .at_once = true};
  ASSERT_FALSE(budget_.try_charge(kPage, charge));
  std::uint64_t const begin = dream_.now();
  {
    Wait wait(budget_, charge, {}, test::always);
    while (wait.step(true) == Verdict::again) wait.claim();
  }
  EXPECT_GT(dream_.now(), begin);
}

TEST_F(PutOff, NothingBeyondTheCapacityWhereItIsToHold) {
  for (OnExhausted const policy : {OnExhausted::enomem, OnExhausted::abort}) {
    Budget budget;
    budget.configure(full_at(kMiB, 500, policy));
    ASSERT_TRUE(charge(budget, kMiB));
    Locker caller;
    Charge wanted{.level = Level::within, .account = &caller.account};
    ASSERT_FALSE(budget.try_charge(kPage, wanted));
    Wait wait(budget, wanted, {}, test::always);
    EXPECT_EQ(wait.step(true), Verdict::again);
    EXPECT_TRUE(budget.has_waiters());
    EXPECT_FALSE(budget.try_charge(kPage, wanted));
  }
}

TEST_F(PutOff, ByAFewThreadsAtATime) {
  fill(full_at(kWhole, 500, OnExhausted::grant));
  std::vector<Locker> callers(kMostInAdvance + 1);
  std::uint64_t const most = advance_bytes(kWhole);
  for (std::uint64_t i = 0; i < kMostInAdvance; ++i) EXPECT_EQ(take(callers[i], most, Verdict::again), 0u) << i;
  EXPECT_GT(take(callers.back(), most, Verdict::granted), 0u);
  std::uint64_t const held = budget_.held();
  budget_.reset(callers.front().account);  // its thread has ended
  EXPECT_EQ(budget_.held(), held);
  Locker another;
  EXPECT_EQ(take(another, most, Verdict::again), 0u);
}

TEST_F(PutOff, ClassesWaitAtOnce) {
  fill(full_at(kWhole, 500, OnExhausted::grant));
  Locker caller;
  Charge charge{.level = Level::within, .account = &caller.account};
  Wait wait(budget_, charge, {3, this}, test::always);
  EXPECT_EQ(wait.step(false), Verdict::again);
  EXPECT_TRUE(budget_.has_waiters());
}

}  // namespace
