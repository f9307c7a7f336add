// The share of time that a thread may wait for nothing.
#include "dreaming.hpp"

namespace {

using namespace stealth;
using test::Caller;
using test::full_at;
using test::kMs;
using test::kSecond;

using Share = test::Dreaming;

// One that waits in vain whenever it asks: over any 10 s it sleeps for its share at most, and for most of that.
TEST_F(Share, IsKept) {
  for (std::uint32_t const share : {20u, 200u, 500u}) {
    CapacityLimits limits = full_at(100, 300);
    limits.backoff.budget = share;
    limits.backoff.jitter = 500;
    fill(limits);
    Caller caller;
    dream_.sleeps.clear();
    std::uint64_t const begin = dream_.now(), most = FruitlessTime::kSpanNs / 1000 * share;
    while (dream_.now() < begin + 40 * kSecond) {
      static_cast<void>(take(caller, 1, Verdict::refused));
      dream_.pass(kMs);
    }
    std::size_t first = 0;
    std::uint64_t sum = 0;
    for (test::Dream::Sleep const& last : dream_.sleeps) {
      sum += last.end - last.begin;
      for (; dream_.sleeps[first].end + FruitlessTime::kSpanNs <= last.end; ++first) {
        sum -= dream_.sleeps[first].end - dream_.sleeps[first].begin;
      }
      test::Dream::Sleep const& oldest = dream_.sleeps[first];
      std::uint64_t const from = last.end - FruitlessTime::kSpanNs;
      std::uint64_t const outside = oldest.begin < from ? from - oldest.begin : 0;
      ASSERT_LE(sum - outside, most + most / 50) << share;
    }
    EXPECT_GE(dream_.slept(), 3 * most) << share;
  }
}

// When it is used up the policy follows at once, for some time: not a short wait each time that some of it is back.
TEST_F(Share, WhenItIsSpent) {
  CapacityLimits limits = full_at(100, 10'000);
  limits.backoff.budget = 100;
  fill(limits);
  Caller caller;
  EXPECT_LE(take(caller, 1, Verdict::refused), kSecond + kMs);
  dream_.sleeps.clear();
  for (int i = 0; i < 100; ++i) {
    ASSERT_EQ(take(caller, 1, Verdict::refused), 0u);
    dream_.pass(kMs);
  }
  EXPECT_TRUE(dream_.sleeps.empty());
  Caller other;
  EXPECT_GE(take(other, 1, Verdict::refused), 999 * kMs) << "each thread has its own";
  dream_.pass(12 * kSecond);
  EXPECT_GE(take(caller, 1, Verdict::refused), 200 * kMs) << "and then it waits again";
}

TEST_F(Share, NoneAtAll) {
  for (OnExhausted const policy : {OnExhausted::enomem, OnExhausted::grant}) {
    CapacityLimits limits = full_at(64 * kMiB, 10'000, policy);
    limits.backoff.budget = 0;
    fill(limits);
    Caller caller;
    for (int i = 0; i < 10; ++i) {
      EXPECT_EQ(take(caller, 5 * kMiB, policy == OnExhausted::grant ? Verdict::granted : Verdict::refused), 0u);
    }
  }
  EXPECT_TRUE(dream_.sleeps.empty());
}

// Waits that are fed cost nothing of it, however long they are.
TEST_F(Share, FedWaitsAreUnlimited) {
  CapacityLimits limits = full_at(100, 500);
  limits.backoff.budget = 200;
  fill(limits);
  Caller caller;
  for (std::uint64_t const each : {kMs / 10, kMs, 13 * kMs, 20 * kMs, 120 * kMs}) {
    for (int i = 0; i < 500; ++i) {
      dream_.in(each, [&] { release_elsewhere(1); });
      ASSERT_EQ(take(caller, 1, Verdict::again), each) << "in round " << i;
      dream_.pass(each / 10);
    }
  }
}

TEST_F(Share, OneFedWaitIsUnlimitedToo) {
  for (std::uint64_t const each : {kMs, 13 * kMs, 120 * kMs}) {
    Budget budget;
    CapacityLimits limits = full_at(1000, 500);
    limits.backoff.budget = 20;
    limits.backoff.max_elapsed_ns = 20 * kSecond;
    budget.configure(limits);
    ASSERT_TRUE(test::charge(budget, 1000));
    dream_.nothing_more();
    dream_.every(each, [&] { other_.act([&] { budget.freed(kMiB, nullptr, &others_); }); });
    std::uint64_t const begin = dream_.now();
    Caller caller;
    EXPECT_EQ(caller.take(budget, 900), Verdict::refused);
    EXPECT_EQ(dream_.now() - begin, 20 * kSecond) << each;
  }
}

}  // namespace
