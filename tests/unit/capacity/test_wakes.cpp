// What ends a wait: at once, by whom, and for whom.
#include <optional>

#include "dreaming.hpp"

namespace {

using namespace stealth;
using test::Caller;
using test::full_at;
using test::kMs;
using test::kSecond;

using Wakes = test::Dreaming;

TEST_F(Wakes, ARelease) {
  fill(full_at(100, 20'000));
  for (std::uint64_t const after : {std::uint64_t{1}, kMs / 10, 7 * kMs, 123 * kMs, 9 * kSecond}) {
    Caller caller;
    dream_.in(after, [&] { budget_.release(40); });
    EXPECT_EQ(take(caller, 40, Verdict::again), after) << "at once";
    EXPECT_EQ(budget_.held(), 100u);
  }
  EXPECT_EQ(budget_.facts().refusals, 0u);
}

TEST_F(Wakes, ReleasesAddUp) {
  fill(full_at(100, 20'000));
  for (int i = 0; i < 10; ++i) {
    dream_.in(static_cast<std::uint64_t>(i + 1) * 50 * kMs, [&] { budget_.release(4); });
  }
  Caller caller;
  EXPECT_EQ(take(caller, 40, Verdict::again), 500 * kMs);
  EXPECT_EQ(budget_.held(), 100u);
}

// The room may have come otherwise than by a release: the waiter looks by itself, after each sleep.
TEST_F(Wakes, ALargerCapacity) {
  CapacityLimits limits = full_at(100, 20'000);
  fill(limits);
  limits.capacity = 150;
  dream_.in(777 * kMs, [&] { budget_.configure(limits); });
  Caller caller;
  EXPECT_EQ(take(caller, 40, Verdict::again), 777 * kMs) << "at once";
  EXPECT_EQ(budget_.held(), 140u);
}

TEST_F(Wakes, ModeOff) {
  CapacityLimits limits = full_at(100, 20'000);
  fill(limits);
  limits.mode = Mode::off;
  dream_.in(777 * kMs, [&] { budget_.configure(limits); });
  Caller caller;
  EXPECT_EQ(take(caller, 40, Verdict::again), 777 * kMs);
  EXPECT_EQ(budget_.held(), 140u);
  EXPECT_EQ(budget_.facts().grants, 0u);
}

TEST_F(Wakes, NoCapacityAnyMore) {
  CapacityLimits limits = full_at(100, 20'000);
  fill(limits);
  limits.capacity = CapacityLimits::kNoCapacity;
  dream_.in(777 * kMs, [&] { budget_.configure(limits); });
  Caller caller;
  EXPECT_EQ(take(caller, 40, Verdict::again), 777 * kMs);
}

// What is freed under its key wakes a waiter, so that it tries again; who listens is woken at once.
TEST_F(Wakes, ByKey) {
  int heap = 0, other = 0;
  fill(full_at(100, 20'000));
  Caller caller;
  Charge charge{.level = Level::within, .account = &caller.account};
  ASSERT_FALSE(budget_.try_charge(10, charge));
  Wait wait(budget_, charge, {.key = &heap}, test::always);
  ASSERT_EQ(wait.step(true), Verdict::again);
  for (int i = 0; i < 12; ++i) ASSERT_EQ(wait.step(true), Verdict::again);  // sleeps of 10 ms by now
  dream_.in(5 * kMs, [&] { free_elsewhere(16, &other); });
  std::uint64_t begin = dream_.now();
  ASSERT_EQ(wait.step(true), Verdict::again);
  EXPECT_EQ(dream_.now() - begin, 10 * kMs) << "16 bytes in another's heap are of no use";
  for (int i = 0; i < 12; ++i) ASSERT_EQ(wait.step(true), Verdict::again);
  dream_.in(5 * kMs, [&] { free_elsewhere(16, &heap); });
  begin = dream_.now();
  ASSERT_EQ(wait.step(true), Verdict::again);
  EXPECT_EQ(dream_.now() - begin, 5 * kMs);
  // Now the sleeps are short again; what comes within the first moment is seen at its end.
  dream_.in(kShortestSleep / 2, [&] { free_elsewhere(16, &heap); });
  begin = dream_.now();
  ASSERT_EQ(wait.step(true), Verdict::again);
  EXPECT_EQ(dream_.now() - begin, kShortestSleep);
}

// Between the try and the sleep is the moment in which a wake-up would be lost.
TEST_F(Wakes, ByKeyBeforeTheSleep) {
  int heap = 0;
  fill(full_at(100, 20'000));
  Caller caller;
  Charge charge{.level = Level::within, .account = &caller.account};
  ASSERT_FALSE(budget_.try_charge(10, charge));
  Wait wait(budget_, charge, {.key = &heap}, test::always);
  ASSERT_EQ(wait.step(true), Verdict::again);
  for (int i = 0; i < 20; ++i) {
    ASSERT_FALSE(budget_.try_charge(10, charge));
    free_elsewhere(16, &heap);
    std::uint64_t const begin = dream_.now();
    ASSERT_EQ(wait.step(true), Verdict::again);
    ASSERT_EQ(dream_.now(), begin) << "it must not sleep over it";
  }
}

// Blocks freed to heaps that nobody waits for are worth a look once they are many; pages that anybody can have, always.
TEST_F(Wakes, WhatOthersCannotUseButPagesMayComeOf) {
  int heap = 0, other = 0;
  fill(full_at(100, 20'000));
  Caller caller;
  Charge charge{.level = Level::within, .account = &caller.account};
  ASSERT_FALSE(budget_.try_charge(10, charge));
  Wait wait(budget_, charge, {.key = &heap}, test::always);
  ASSERT_EQ(wait.step(true), Verdict::again);
  for (int i = 0; i < 12; ++i) ASSERT_EQ(wait.step(true), Verdict::again);
  dream_.every(kMs, [&] { free_elsewhere(64 * kKiB, &other); });
  std::uint64_t const begin = dream_.now();
  ASSERT_EQ(wait.step(true), Verdict::again);
  EXPECT_LT(dream_.now() - begin, 10 * kMs);
  dream_.nothing_more();
  for (int i = 0; i < 12; ++i) ASSERT_EQ(wait.step(true), Verdict::again);
  dream_.in(3 * kMs, [&] { free_elsewhere(1, nullptr); });
  std::uint64_t const again = dream_.now();
  ASSERT_EQ(wait.step(true), Verdict::again);
  EXPECT_EQ(dream_.now() - again, 3 * kMs);
}

// A class at its max: no page helps, only what is freed under its key.
TEST_F(Wakes, AClassAtItsMax) {
  int rule = 0;
  budget_.configure(full_at(1000, 500));
  Caller caller;
  Charge charge{.level = Level::within, .account = &caller.account};
  {
    Wait wait(budget_, charge, {.kind = 3, .key = &rule}, test::always);
    ASSERT_EQ(wait.step(false), Verdict::again);
    EXPECT_TRUE(budget_.has_waiters());
    EXPECT_TRUE(test::charge(budget_, 950)) << "it stands in nobody's way";
    for (int i = 0; i < 12; ++i) ASSERT_EQ(wait.step(false), Verdict::again);
    dream_.in(4 * kMs, [&] { budget_.release(900); });
    std::uint64_t begin = dream_.now();
    ASSERT_EQ(wait.step(false), Verdict::again);
    EXPECT_EQ(dream_.now() - begin, 10 * kMs) << "pages are of no use";
    EXPECT_EQ(budget_.held(), 50u);
    dream_.in(4 * kMs, [&] { free_elsewhere(0, &rule); });
    begin = dream_.now();
    ASSERT_EQ(wait.step(false), Verdict::again);
    EXPECT_EQ(dream_.now() - begin, 4 * kMs);
    Verdict last = Verdict::again;
    begin = dream_.now();
    while (last == Verdict::again) last = wait.step(false);
    EXPECT_EQ(dream_.now() - begin, 500 * kMs);
    EXPECT_EQ(wait.decide(), Verdict::refused);
  }
  EXPECT_EQ(budget_.stalls_of(3).waits, 1u);
  EXPECT_EQ(budget_.held(), 50u);
  EXPECT_FALSE(budget_.has_waiters());
}

TEST_F(Wakes, StopWaitingEndsAllWaits) {
  fill(full_at(100, 20'000));
  dream_.in(77 * kMs, [&] { budget_.stop_waiting(); });
  Caller caller;
  EXPECT_EQ(take(caller, 40, Verdict::again), 77 * kMs);
  EXPECT_EQ(budget_.held(), 140u) << "the process exits: what it needs for that it gets";
  EXPECT_EQ(take(caller, 40, Verdict::again), 0u);
  EXPECT_EQ(budget_.facts().refusals + budget_.facts().grants, 0u);
}

TEST_F(Wakes, StopWaitingEndsTheWaitForAClassToo) {
  budget_.configure(full_at(1000, 20'000));
  dream_.in(77 * kMs, [&] { budget_.stop_waiting(); });
  Caller caller;
  Charge charge{.level = Level::within, .account = &caller.account};
  Wait wait(budget_, charge, {}, test::always);
  std::uint64_t const begin = dream_.now();
  while (wait.step(false) == Verdict::again) ASSERT_LT(dream_.now(), begin + 60 * kSecond);
  EXPECT_EQ(dream_.now() - begin, 77 * kMs);
}

// --- several, in order of arrival ---

class Row : public test::Dreaming {
 protected:
  struct Call {
    Call(Budget& b, std::size_t bytes) : budget(b), wanted(bytes) {}
    [[nodiscard]] bool again() { return budget.try_charge(wanted, charge); }
    Verdict step() { return wait.step(true); }
    Budget& budget;
    std::size_t wanted;
    ThreadAccount account{};
    Charge charge{.level = Level::within, .account = &account};
    Wait wait{budget, charge, {}, test::always};
  };
  void SetUp() override {
    Dreaming::SetUp();
    CapacityLimits limits = full_at(100'000, 20'000);
    limits.soft = 1;
    fill(limits);
  }
  void join(std::optional<Call>& call, std::size_t bytes) {
    call.emplace(budget_, bytes);
    EXPECT_FALSE(call->again());
    EXPECT_EQ(call->step(), Verdict::again);
  }
  std::optional<Call> a_, b_, c_;
};

TEST_F(Row, NobodyOvertakes) {
  join(a_, 50'000);
  join(b_, 10'000);
  budget_.release(30'000);
  Caller newcomer;
  EXPECT_EQ(newcomer.refusal(budget_, 1), Refusal::full);
  EXPECT_FALSE(b_->wait.claim());
  EXPECT_EQ(budget_.held(), 70'000u);
  budget_.release(20'000);
  EXPECT_EQ(newcomer.refusal(budget_, 1), Refusal::full) << "there is none left";
  EXPECT_TRUE(a_->wait.claim());
  EXPECT_TRUE(a_->again());
  EXPECT_FALSE(b_->wait.claim());
  budget_.release(15'000);
  EXPECT_EQ(newcomer.refusal(budget_, 5000), Refusal::none) << "nobody waits any more";
  EXPECT_TRUE(b_->wait.claim());
  EXPECT_TRUE(b_->again());
  EXPECT_EQ(budget_.held(), 95'000u);
}

// When the first one gives up, those behind it may have what did not suffice for it.
TEST_F(Row, WhoGivesUpMakesWay) {
  join(a_, 50'000);
  join(b_, 10'000);
  join(c_, 30'000);
  budget_.release(40'000);
  EXPECT_FALSE(b_->wait.claim());
  a_.reset();
  EXPECT_TRUE(b_->wait.claim());
  EXPECT_TRUE(b_->again());
  EXPECT_TRUE(c_->wait.claim());
  EXPECT_TRUE(c_->again());
  EXPECT_EQ(budget_.held(), 100'000u);
}

TEST_F(Row, WhoNeedsLessGetsItAndMakesWay) {
  join(a_, 50'000);
  join(b_, 10'000);
  budget_.release(40'000);
  a_->wanted = 20'000;
  EXPECT_FALSE(a_->again()) << "only who releases takes out of turn";
  std::uint64_t const begin = dream_.now();
  EXPECT_EQ(a_->step(), Verdict::again);
  EXPECT_TRUE(a_->again());
  EXPECT_EQ(dream_.now(), begin) << "there was enough: nothing to wait for";
  EXPECT_TRUE(b_->wait.claim());
  EXPECT_TRUE(b_->again());
}

}  // namespace
