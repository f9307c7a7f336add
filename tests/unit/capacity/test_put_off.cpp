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

// Debts are slept for one after the other, so the last one's end is that of all.
TEST_F(PutOff, DebtsAreDueWhenTheLastOneIs) {
  CapacityLimits limits = full_at(kWhole, 500);
  limits.backoff.max_wait_ns = 100 * kMs;
  budget_.configure(limits);
  ASSERT_TRUE(charge(budget_, 60 * kMiB));
  free_elsewhere();
  Locker caller;
  std::uint64_t const quantum = debt_quantum(kWhole);
  std::uint64_t const rate = admission_rate(kWhole, 60 * kMiB, 0);  // less as it fills up
  EXPECT_EQ(take(caller, quantum, Verdict::again), 0u);             // what unused time is good for
  for (std::uint64_t n = 1; n <= 8; ++n) {
    EXPECT_EQ(take(caller, quantum, Verdict::again), 0u) << n;
    EXPECT_EQ(caller.account.debts_put_off, n);
    std::uint64_t const due = caller.account.due_until_ns - dream_.now();
    std::uint64_t const owed = n * quantum * 1'000'000 / (rate / 1000);
    EXPECT_GE(due, owed * 9 / 10) << n;
    EXPECT_LE(due, owed * 13 / 10) << n;
  }
  EXPECT_EQ(budget_.held(), 60 * kMiB + 9 * quantum) << "it has them";
  EXPECT_TRUE(caller.account.takes_locks);
}

TEST_F(PutOff, NoLockCameForManyDebts) {
  budget_.configure(full_at(kWhole, 500));
  ASSERT_TRUE(charge(budget_, 60 * kMiB));
  free_elsewhere();
  Locker caller;
  caller.account.debts_put_off = kMostDebtsPutOff;
  EXPECT_GT(take(caller, kMiB, Verdict::again), 0u);
  EXPECT_EQ(caller.account.debts_put_off, 0u);
  EXPECT_FALSE(caller.account.takes_locks);
}

TEST_F(PutOff, OverTheCapacityByLittle) {
  fill(full_at(kWhole, 500, OnExhausted::grant));
  free_elsewhere();
  Locker caller;
  std::uint64_t const most = advance_bytes(kWhole) / 2;
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

TEST_F(PutOff, OneRequestMayBeLarger) {
  fill(full_at(kWhole, 500, OnExhausted::grant));
  Locker caller;
  EXPECT_EQ(take(caller, advance_bytes(kWhole), Verdict::again), 0u);
  Locker another;
  EXPECT_GT(take(another, advance_bytes(kWhole) + kPage, Verdict::granted), 0u);
}

TEST_F(PutOff, WhatIsAskedForIsNotPutOffAgain) {
  fill(full_at(kWhole, 500, OnExhausted::grant));
  Locker caller;
  Charge charge{.level = Level::within, .account = &caller.account, .at_once = true};
  ASSERT_FALSE(budget_.try_charge(kPage, charge));
  std::uint64_t const begin = dream_.now();
  {
    Wait wait(budget_, charge, {}, test::always);
    while (wait.step(true) == Verdict::again) wait.claim();
  }
  EXPECT_GT(dream_.now(), begin);
  EXPECT_EQ(caller.account.advance, 0u);
}

// However many threads there are, and whether they come back or not: all of it together is bounded, exactly.
TEST_F(PutOff, OfAllThreadsTogether) {
  fill(full_at(kWhole, 500, OnExhausted::grant));
  std::uint64_t const most = advance_bytes(kWhole);
  std::vector<Locker> callers(most / (64 * kKiB) + 1);
  for (std::size_t i = 0; i + 1 < callers.size(); ++i) EXPECT_EQ(take(callers[i], 64 * kKiB, Verdict::again), 0u) << i;
  EXPECT_GT(take(callers.back(), 64 * kKiB, Verdict::granted), 0u);
  EXPECT_TRUE(callers.back().account.takes_locks) << "that is no fault of its own";
  EXPECT_EQ(take(callers.back(), 64 * kKiB, Verdict::again), 0u) << "beyond what was granted, too";
  budget_.release(budget_.held() - kWhole);
  EXPECT_EQ(take(callers.back(), 64 * kKiB, Verdict::again), 0u) << "it had an advance, and has not been asked for it";
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

TEST_F(PutOff, ClassesWaitAtOnce) {
  fill(full_at(kWhole, 500, OnExhausted::grant));
  Locker caller;
  Charge charge{.level = Level::within, .account = &caller.account};
  Wait wait(budget_, charge, {3, this}, test::always);
  EXPECT_EQ(wait.step(false), Verdict::again);
  EXPECT_TRUE(budget_.has_waiters());
}

}  // namespace
