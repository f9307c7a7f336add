// One call's waiting, step by step, and how long it is at most.
#include "dreaming.hpp"

namespace {

using namespace stealth;
using test::Caller;
using test::capacity;
using test::charge;
using test::full_at;
using test::kMs;
using test::kSecond;

using Steps = test::Dreaming;
using Bounds = test::Dreaming;

TEST_F(Steps, TheFirstOneOnlyAnnounces) {
  fill(full_at(100, 60'000));
  Caller caller;
  {
    Charge charge{.level = Level::within, .account = &caller.account};
    ASSERT_FALSE(budget_.try_charge(10, charge));
    ASSERT_EQ(charge.refusal, Refusal::full);
    Wait wait(budget_, charge, {}, test::always);
    EXPECT_FALSE(wait.begun());
    EXPECT_FALSE(wait.claim());
    EXPECT_EQ(budget_.facts().waiting_now, 0u);
    EXPECT_EQ(wait.step(true), Verdict::again);
    EXPECT_TRUE(wait.begun());
    EXPECT_TRUE(budget_.has_waiters());
    EXPECT_EQ(budget_.facts().waiting_now, 1u);
    EXPECT_TRUE(dream_.sleeps.empty()) << "a release between the try and the announcement would be missed";
    // What is released now, before the sleep, is the waiter's.
    budget_.release(10);
    EXPECT_EQ(budget_.held(), 100u) << "charged for it already";
    EXPECT_FALSE(test::charge(budget_, 1));
    EXPECT_EQ(wait.step(true), Verdict::again);
    EXPECT_TRUE(dream_.sleeps.empty());
    EXPECT_EQ(charge.account->prepaid, 10u);
    EXPECT_TRUE(budget_.try_charge(10, charge));
    EXPECT_EQ(charge.account->prepaid, 0u);
    EXPECT_FALSE(wait.claim()) << "once";
  }
  EXPECT_EQ(budget_.held(), 100u);
  EXPECT_FALSE(budget_.has_waiters());
  EXPECT_EQ(budget_.facts().waiting_now, 0u);
  EXPECT_EQ(budget_.facts().waits, 1u);
}

TEST_F(Steps, WhatWasReleasedBeforeIsFound) {
  fill(full_at(100, 60'000));
  Caller caller;
  Charge charge{.level = Level::within, .account = &caller.account};
  ASSERT_FALSE(budget_.try_charge(10, charge));
  budget_.release(10);
  Wait wait(budget_, charge, {}, test::always);
  EXPECT_EQ(wait.step(true), Verdict::again);
  EXPECT_TRUE(budget_.try_charge(10, charge));
  EXPECT_TRUE(dream_.sleeps.empty());
}

TEST_F(Steps, AWaitThatNeverBeganIsNotCounted) {
  Caller caller;
  Charge charge{.account = &caller.account};
  { Wait const wait(budget_, charge, {}, test::always); }
  EXPECT_EQ(budget_.facts().waits, 0u);
  EXPECT_EQ(budget_.facts().waiting_now, 0u);
}

// What was granted and not used goes back: to whoever is next.
TEST_F(Steps, AGrantThatNobodyFetchesComesBack) {
  fill(full_at(100, 20'000));
  Caller caller;
  Charge charge{.level = Level::within, .account = &caller.account};
  ASSERT_FALSE(budget_.try_charge(40, charge));
  Wait wait(budget_, charge, {}, test::always);
  ASSERT_EQ(wait.step(true), Verdict::again);
  budget_.release(40);
  EXPECT_EQ(budget_.held(), 100u) << "granted";
  dream_.pass(kSecond);
  budget_.release(1);
  EXPECT_EQ(budget_.held(), 59u);
}

TEST_F(Steps, UnusedGrantsGoBack) {
  fill(full_at(100, 60'000));
  Caller caller;
  {
    Charge charge{.level = Level::within, .account = &caller.account};
    ASSERT_FALSE(budget_.try_charge(30, charge));
    Wait wait(budget_, charge, {}, test::always);
    EXPECT_EQ(wait.step(true), Verdict::again);
    budget_.release(50);
    EXPECT_EQ(budget_.held(), 80u);
    EXPECT_TRUE(wait.claim());
    EXPECT_EQ(charge.account->prepaid, 30u);
    EXPECT_TRUE(budget_.try_charge(10, charge)) << "it needs less by now";
    EXPECT_EQ(charge.account->prepaid, 20u);
    EXPECT_EQ(budget_.held(), 80u);
  }
  EXPECT_EQ(budget_.held(), 60u);
  {
    Charge charge{.level = Level::within, .account = &caller.account};
    ASSERT_FALSE(budget_.try_charge(50, charge));
    Wait wait(budget_, charge, {}, test::always);
    EXPECT_EQ(wait.step(true), Verdict::again);
    budget_.release(10);
    EXPECT_EQ(budget_.held(), 100u);
    // Leaves without having looked.
  }
  EXPECT_EQ(budget_.held(), 50u);
  budget_.release(50);
  EXPECT_EQ(budget_.held(), 0u);
}

// A request that has been granted something, and then needs more: it stands in line for the whole again.
TEST_F(Steps, WantsThatGrow) {
  fill(full_at(100, 60'000));
  Caller caller;
  {
    Charge charge{.level = Level::within, .account = &caller.account};
    ASSERT_FALSE(budget_.try_charge(30, charge));
    Wait wait(budget_, charge, {}, test::always);
    EXPECT_EQ(wait.step(true), Verdict::again);
    budget_.release(30);
    EXPECT_TRUE(wait.claim());
    EXPECT_FALSE(budget_.try_charge(40, charge));
    EXPECT_EQ(charge.account->prepaid, 30u);
    dream_.in(kMs, [&] { budget_.release(60); });
    while (!budget_.try_charge(40, charge)) ASSERT_EQ(wait.step(true), Verdict::again);
    EXPECT_EQ(charge.account->prepaid, 0u);
    EXPECT_EQ(budget_.held(), 50u) << "10 others, 40 used";
  }
  EXPECT_EQ(budget_.held(), 50u);
}

TEST_F(Steps, WhoMayNotBeHeldUpIsNot) {
  static int asked;
  asked = 0;
  auto const never = []() noexcept { return ++asked, false; };
  CapacityLimits limits = full_at(100, 60'000);
  for (OnExhausted const policy : {OnExhausted::enomem, OnExhausted::grant, OnExhausted::abort}) {
    limits.on_exhausted = policy;
    fill(limits);
    EXPECT_EQ(Caller().take(budget_, 10, {}, never), Verdict::granted) << "the policy is for those who waited in vain";
    EXPECT_EQ(budget_.held(), 110u);
    budget_.release(10);
  }
  EXPECT_EQ(asked, 3);
  EXPECT_EQ(fake::count(SYS_futex), 0u);
  EXPECT_EQ(budget_.facts().waits, 0u);
  EXPECT_EQ(budget_.facts().refusals, 0u);
  EXPECT_EQ(budget_.facts().grants, 3u);
  EXPECT_EQ(said(), "");
}

TEST_F(Steps, MayWaitIsAskedBeforeTheFirstSleepOnly) {
  static int asked;
  asked = 0;
  fill(full_at(100, 100));
  EXPECT_EQ(Caller().take(budget_, 10, {}, []() noexcept { return ++asked, true; }), Verdict::refused);
  EXPECT_EQ(asked, 1);
  EXPECT_GT(dream_.sleeps.size(), 2u);
}

// A call that nobody helps waits as long as it should, by sleeps no longer than one may be.
TEST_F(Bounds, NobodyReleasesAnything) {
  test::Random random(10);
  for (int i = 0; i < test::rounds(1000); ++i) {
    Budget budget;
    CapacityLimits limits = capacity(100);
    limits.on_exhausted = OnExhausted::enomem;
    limits.backoff = {1000 + random.below(200 * kMs), random.below(3 * kSecond), random.below(20 * kSecond),
                      static_cast<std::uint32_t>(100 + random.below(900)),
                      static_cast<std::uint32_t>(random.below(1001))};
    if (random.one_in(10)) limits.backoff.patience_ns = 0;
    if (random.one_in(10)) limits.backoff.max_elapsed_ns = 0;
    budget.configure(limits);
    ASSERT_TRUE(charge(budget, 100));
    dream_.sleeps.clear();
    std::uint64_t const begin = dream_.now();
    ASSERT_EQ(Caller().take(budget, 10), Verdict::refused);
    std::uint64_t const took = dream_.now() - begin;
    std::uint64_t const share = FruitlessTime::kSpanNs / 1000 * limits.backoff.budget;
    std::uint64_t const most = std::min({limits.backoff.patience_ns, limits.backoff.max_elapsed_ns, share});
    ASSERT_LE(took, most + dream_.sleeps.size() * 1000);
    ASSERT_GE(took + kShortestSleep, most);
    ASSERT_LE(budget.facts().longest_sleep_ns, limits.backoff.max_wait_ns);
    ASSERT_EQ(budget.facts().waiting_now, 0u);
    ASSERT_EQ(budget.facts().grants, 0u);
    ASSERT_EQ(budget.held(), 100u);
  }
}

// Where going over is the worst that follows, the patience is the law's.
TEST_F(Bounds, GrantsComeAfterTheLawsPatience) {
  constexpr std::uint64_t kWhole = 64 * kMiB;
  CapacityLimits const limits = full_at(kWhole, 500, OnExhausted::grant);
  fill(limits);
  std::uint64_t last = 0;
  for (int i = 0; i < 300; ++i) {
    std::uint64_t const used = budget_.used();
    Caller caller;
    std::uint64_t const patience = patience_ns(limits.backoff, true, false, caller.account.trust, kWhole, used);
    ASSERT_GE(patience, last);
    ASSERT_EQ(take(caller, 256 * kKiB, Verdict::granted), patience);
    ASSERT_EQ(budget_.held(), used + 256 * kKiB);
    last = patience;
  }
  EXPECT_EQ(last, limits.backoff.patience_ns) << "the further over, the longer";
  EXPECT_EQ(budget_.facts().grants, 300u);
  EXPECT_EQ(budget_.facts().refusals, 0u);
}

// Whom nobody but himself has helped lately does not hope for others.
TEST_F(Bounds, AloneThereIsLittleHope) {
  constexpr std::uint64_t kWhole = 64 * kMiB;
  CapacityLimits const limits = full_at(kWhole, 500, OnExhausted::grant);
  fill(limits);
  budget_.charge_anyhow(kWhole);
  Caller caller, alone, again;
  std::uint64_t const hope = take(caller, kMiB, Verdict::granted);
  budget_.freed(1, nullptr, &alone.account);
  EXPECT_LT(take(alone, kMiB, Verdict::granted), hope / 10);
  free_elsewhere();
  EXPECT_EQ(take(again, kMiB, Verdict::granted), hope) << "there are others";
}

// A thread that has waited in vain hopes for less, until waits have brought something again.
TEST_F(Bounds, TrustIsLostAndWon) {
  constexpr std::uint64_t kWhole = 64 * kMiB;
  CapacityLimits const limits = full_at(kWhole, 500, OnExhausted::grant);
  fill(limits);
  Caller caller;
  std::uint64_t const first = take(caller, kMiB, Verdict::granted);
  budget_.release(kMiB);
  std::uint64_t const second = take(caller, kMiB, Verdict::granted);
  EXPECT_LE(second, first);
  EXPECT_GT(second, 0u);
  budget_.release(kMiB);
  for (int i = 0; i < 100; ++i) {
    dream_.in(second / 2, [&] { release_elsewhere(kMiB); });
    ASSERT_EQ(take(caller, kMiB, Verdict::again), second / 2);
  }
  caller.account.granted_left = 0;
  std::uint64_t const last = take(caller, kMiB, Verdict::granted);
  EXPECT_GT(last, second);
  EXPECT_LE(last, limits.backoff.patience_ns);
}

TEST_F(Bounds, ReleasesFeedPatience) {
  CapacityLimits limits = full_at(100 * kKiB, 150);
  limits.backoff.max_elapsed_ns = 30 * kSecond;
  fill(limits);
  dream_.every(100 * kMs, [&] { free_elsewhere(90 * kKiB); });
  Caller caller;
  EXPECT_EQ(take(caller, 90 * kKiB, Verdict::refused), 30 * kSecond) << "only the elapsed time ends what others feed";
  // From the last one on the patience counts.
  dream_.nothing_more();
  dream_.in(100 * kMs, [&] { free_elsewhere(90 * kKiB); });
  std::uint64_t const took = take(caller, 90 * kKiB, Verdict::refused);
  EXPECT_GE(took, 250 * kMs);
  EXPECT_LE(took, 250 * kMs + limits.backoff.max_wait_ns);
}

// Releases that cannot make room for it in any time that is worth waiting do not feed a call.
TEST_F(Bounds, HopelessRequestsAreNotFed) {
  CapacityLimits const limits = full_at(100 * kMiB, 150);
  fill(limits);
  int other = 0;
  dream_.every(5 * kMs, [&] { free_elsewhere(16, &other); });
  Caller caller;
  // How fast it is must be seen first.
  std::uint64_t const took = take(caller, 90 * kMiB, Verdict::refused);
  EXPECT_GE(took, 150 * kMs);
  EXPECT_LE(took, 200 * kMs);
}

// 12 MiB are missing, and it would take 19 s to free as much: that is no feeding where no call may wait for longer
// than 2.
TEST_F(Bounds, WhatComesTooSlowlyDoesNotFeed) {
  CapacityLimits limits = full_at(100 * kMiB, 150);
  limits.backoff.max_elapsed_ns = 2 * kSecond;
  fill(limits);
  dream_.every(10 * kMs, [&] { free_elsewhere(6400); });
  Caller caller;
  std::uint64_t const took = take(caller, 12 * kMiB, Verdict::refused);
  EXPECT_GE(took, 150 * kMs);
  EXPECT_LE(took, 200 * kMs);
}

// Single small blocks of its own heap: no more feeding than any others.
TEST_F(Bounds, BlocksThatDoNotServeItDoNotFeed) {
  CapacityLimits const limits = full_at(100 * kMiB, 150);
  fill(limits);
  int heap = 0;
  dream_.every(10 * kMs, [&] { free_elsewhere(16, &heap); });
  Caller caller;
  std::uint64_t const took = take(caller, 12 * kMiB, Verdict::refused, {.kind = 1, .key = &heap});
  EXPECT_GE(took, 150 * kMs);
  EXPECT_LE(took, 200 * kMs);
}

// Whoever waits for blocks of a class is not fed by what else is freed, though the capacity is far.
TEST_F(Bounds, PagesDoNotFeedAClass) {
  budget_.configure(full_at(100 * kMiB, 150));
  int mine = 0, other = 0;
  dream_.every(5 * kMs, [&] { free_elsewhere(kMiB, &other); });
  Caller caller;
  Charge charge{.level = Level::within, .account = &caller.account};
  std::uint64_t const begin = dream_.now();
  {
    Wait wait(budget_, charge, {.kind = 1, .key = &mine}, test::always);
    while (wait.step(false) != Verdict::exhausted) wait.claim();
  }
  EXPECT_EQ(dream_.now() - begin, 150 * kMs);
}

TEST_F(Bounds, WhatCannotFitDoesNotWait) {
  for (OnExhausted const policy : {OnExhausted::enomem, OnExhausted::grant}) {
    fill(full_at(kMiB, 20'000, policy));
    dream_.every(5 * kMs, [&] { free_elsewhere(); });
    Caller caller;
    EXPECT_EQ(take(caller, kMiB + 1, policy == OnExhausted::grant ? Verdict::granted : Verdict::refused), 0u);
  }
  EXPECT_EQ(budget_.facts().waits, 0u);
}

// Pages that nobody has freed just now are no sign of others' work: a waiter that purges would feed itself.
TEST_F(Bounds, PagesAloneDoNotFeed) {
  CapacityLimits const limits = full_at(100, 150);
  fill(limits);
  dream_.every(5 * kMs, [&] {
    budget_.release(1);
    ASSERT_TRUE(charge(budget_, 1, Level::over));
  });
  Caller caller;
  EXPECT_EQ(take(caller, 90, Verdict::refused), 150 * kMs);
}

// Whoever is stopped (SIGSTOP, a frozen container) while he waits has as much patience left when he goes on as he had:
// those who could have released something were stopped, too.
TEST_F(Bounds, TimeInWhichTheProcessIsStoppedIsNotWaited) {
  CapacityLimits limits = full_at(100, 500);
  limits.backoff.max_elapsed_ns = 700 * kMs;
  limits.backoff.budget = 100;  // a second of any ten
  fill(limits);
  dream_.in(100 * kMs, [&] { dream_.pass(60 * kSecond); });
  Caller caller;
  std::uint64_t const took = take(caller, 10, Verdict::refused);
  EXPECT_GE(took, 60 * kSecond + 500 * kMs - limits.backoff.max_wait_ns);
  EXPECT_LE(took, 60 * kSecond + 500 * kMs + limits.backoff.max_wait_ns);
  StallFacts const facts = budget_.facts();
  EXPECT_LE(facts.longest_sleep_ns, limits.backoff.max_wait_ns);
  EXPECT_LE(facts.waited_ns, 500 * kMs + limits.backoff.max_wait_ns);
  EXPECT_EQ(take(caller, 10, Verdict::refused), 500 * kMs) << "of the budget no more is gone than was waited";
}

// A busy machine wakes those who sleep late, and they have slept all the same.
TEST_F(Bounds, WakingLateIsWaiting) {
  fill(full_at(100, 2000));
  dream_.in(100 * kMs, [&] { dream_.pass(900 * kMs); });
  Caller caller;
  EXPECT_EQ(take(caller, 10, Verdict::refused), 2000 * kMs);
}

TEST_F(Bounds, NoPatienceAtAll) {
  fill(full_at(100, 0));
  Caller caller;
  EXPECT_EQ(take(caller, 1, Verdict::refused), 0u);
  EXPECT_EQ(fake::count(SYS_futex), 0u);
  EXPECT_EQ(budget_.facts().waits, 0u);
}

TEST_F(Bounds, StallsAreCountedWhereTheyBelong) {
  fill(full_at(100, 80));
  Caller caller;
  static_cast<void>(take(caller, 1, Verdict::refused, {.kind = 7}));
  StallFacts const facts = budget_.facts();
  EXPECT_EQ(facts.waits, 1u);
  EXPECT_EQ(facts.waited_ns, 80 * kMs);
  EXPECT_EQ(facts.longest_ns, 80 * kMs);
  EXPECT_GE(facts.longest_sleep_ns, dream_.longest());
  EXPECT_LE(facts.longest_sleep_ns, 10 * kMs);
  EXPECT_EQ(facts.refusals, 1u);
  EXPECT_EQ(facts.histogram[17], 1u) << "65.5 ms to 131 ms";
  EXPECT_EQ(budget_.stalls_of(7).waits, 1u);
  EXPECT_EQ(budget_.stalls_of(7).waited_ns, 80 * kMs);
  EXPECT_EQ(budget_.stalls_of(0).waits, 0u);
}

}  // namespace
