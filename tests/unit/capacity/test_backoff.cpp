// The law is pure arithmetic: its bounds, and what makes a delay longer or shorter, over random situations.
#include <gtest/gtest.h>

#include <algorithm>

#include "capacity/backoff.hpp"
#include "support.hpp"

namespace {

using namespace stealth;

constexpr std::uint64_t kMs = 1'000'000, kSecond = 1'000'000'000, kHour = 3600 * kSecond;

static_assert(delay_ns({}, {}) == kShortestSleep, "constant expressions, all of them");
static_assert(admission_rate(kGiB, kGiB, 0) > 0);

class Backoff : public testing::Test {
 protected:
  // Of any magnitude.
  std::uint64_t any(std::uint64_t most = ~std::uint64_t{0}) {
    return std::min(random_.next() >> random_.below(64), most);
  }
  BackoffLimits any_limits() {
    return {1000 + any(kHour), any(kHour), any(24 * kHour), static_cast<std::uint32_t>(random_.below(1001)),
            static_cast<std::uint32_t>(random_.below(1001))};
  }
  Situation any_situation(Phase phase) {
    return {phase, any(), any(), any(), any(), static_cast<std::uint32_t>(any())};
  }
  test::Random random_{2};
};

constexpr Phase kPhases[] = {Phase::approach, Phase::wait, Phase::overdraft};

TEST_F(Backoff, NoDelayIsLongerThanOneMayBe) {
  for (int i = 0; i < test::rounds(300'000); ++i) {
    BackoffLimits const limits = any_limits();
    for (Phase const phase : kPhases) ASSERT_LE(delay_ns(limits, any_situation(phase)), limits.max_wait_ns);
  }
}

// Longer: a larger debt at a lower rate. Shorter: each sleep in a row that brought nothing, down to a part, not to
// none.
TEST_F(Backoff, ApproachFollowsTheDebtAndTheRate) {
  for (int i = 0; i < test::rounds(300'000); ++i) {
    BackoffLimits const limits = any_limits();
    Situation const now = any_situation(Phase::approach);
    std::uint64_t const delay = delay_ns(limits, now);
    Situation other = now;
    other.bytes = now.bytes + std::min(any(), ~std::uint64_t{0} - now.bytes);
    ASSERT_GE(delay_ns(limits, other), delay) << now.bytes << " " << other.bytes;
    other = now;
    other.rate = now.rate + std::min(any(), ~std::uint64_t{0} - now.rate);
    ASSERT_LE(delay_ns(limits, other), delay) << now.rate << " " << other.rate;
    other = now;
    other.fruitless = now.fruitless == ~0u ? ~0u : now.fruitless + 1;
    ASSERT_LE(delay_ns(limits, other), delay) << now.fruitless;
    other.fruitless = 0;
    std::uint64_t const first = delay_ns(limits, other);
    other.fruitless = ~0u;
    ASSERT_GE(delay_ns(limits, other), first / 64);
  }
}

// The delay is the time in which the rate pays the debt.
TEST_F(Backoff, ApproachMatchesTheRate) {
  BackoffLimits limits;
  limits.max_wait_ns = kHour;
  for (int i = 0; i < test::rounds(100'000); ++i) {
    std::uint64_t const rate = kMiB + any(64 * kGiB);
    std::uint64_t const debt = 4 * kKiB + any(4 * kGiB);
    double const exact = std::min(static_cast<double>(debt) * 1e9 / static_cast<double>(rate), kHour * 1.0);
    auto const delay = static_cast<double>(delay_ns(limits, {.phase = Phase::approach, .bytes = debt, .rate = rate}));
    ASSERT_NEAR(delay, exact, exact / 100 + 1000) << debt << " at " << rate;
  }
}

TEST_F(Backoff, WaitsGrowWhileNothingIsReleased) {
  for (int i = 0; i < test::rounds(20'000); ++i) {
    BackoffLimits const limits = any_limits();
    std::uint64_t before = 0;
    for (std::uint32_t fruitless = 0; fruitless < 70; ++fruitless) {
      Situation now = any_situation(Phase::wait);
      now.fruitless = fruitless;
      std::uint64_t const delay = delay_ns(limits, now);
      ASSERT_GE(delay, before) << fruitless;
      before = delay;
    }
    Situation const first{.phase = Phase::wait};
    ASSERT_EQ(delay_ns(limits, first), std::min(kShortestSleep, limits.max_wait_ns));
    ASSERT_EQ(before, limits.max_wait_ns) << "in the end they are as long as they may be";
    ASSERT_EQ(delay_ns(limits, {.phase = Phase::wait, .fruitless = ~0u}), limits.max_wait_ns);
  }
}

TEST_F(Backoff, AnOverdraftCostsMoreTheFurtherOver) {
  for (int i = 0; i < test::rounds(300'000); ++i) {
    BackoffLimits const limits = any_limits();
    Situation const now = any_situation(Phase::overdraft);
    std::uint64_t const delay = delay_ns(limits, now);
    Situation other = now;
    other.used = now.used + std::min(any(), ~std::uint64_t{0} - now.used);
    ASSERT_GE(delay_ns(limits, other), delay) << now.used << " " << other.used;
    other = now;
    other.bytes = now.bytes + std::min(any(), ~std::uint64_t{0} - now.bytes);
    ASSERT_GE(delay_ns(limits, other), delay) << now.bytes << " " << other.bytes;
    other = now;
    other.capacity = now.capacity + std::min(any(), ~std::uint64_t{0} - now.capacity);
    ASSERT_LE(delay_ns(limits, other), delay) << now.capacity << " " << other.capacity;
  }
}

TEST_F(Backoff, AnOverdraftIsNeverFree) {
  BackoffLimits limits;
  limits.max_wait_ns = kHour;
  for (int i = 0; i < test::rounds(100'000); ++i) {
    std::uint64_t const capacity = kMiB + any(kGiB * 1024);
    std::uint64_t const used = capacity + any(4 * capacity);
    std::uint64_t const bytes = 4 * kKiB + any(kMiB);
    auto const delay = [&](std::uint64_t at) {
      return delay_ns(limits, {.phase = Phase::overdraft, .capacity = capacity, .used = at, .bytes = bytes});
    };
    ASSERT_GT(delay(used), 0u);
    // The square of how full it is, in steps.
    ASSERT_GE(delay(2 * used), 3 * delay(used));
    ASSERT_LE(delay(2 * used), 5 * delay(used));
  }
}

TEST_F(Backoff, JitterStaysWithinItsShare) {
  for (int i = 0; i < test::rounds(300'000); ++i) {
    BackoffLimits const limits = any_limits();
    std::uint64_t const ns = any(limits.max_wait_ns);
    auto const random = static_cast<std::uint32_t>(random_.next());
    std::uint64_t const got = jittered(limits, ns, random);
    double const share = static_cast<double>(ns) * limits.jitter / 1000;
    ASSERT_LE(got, limits.max_wait_ns) << ns;
    ASSERT_GE(static_cast<double>(got), static_cast<double>(ns) - share - 1) << ns << " " << limits.jitter;
    ASSERT_LE(static_cast<double>(got), static_cast<double>(ns) + share + 1) << ns << " " << limits.jitter;
    ASSERT_GE(jittered(limits, ns, random | 0xFFFF0000), got) << "the same way as the random number";
    BackoffLimits plain = limits;
    plain.jitter = 0;
    ASSERT_EQ(jittered(plain, ns, random), ns);
  }
}

TEST_F(Backoff, JitterUsesItsShare) {
  for (std::uint32_t const jitter : {100u, 500u, 1000u}) {
    BackoffLimits const limits = {kSecond, kSecond, kSecond, 500, jitter};
    double sum = 0, least = 1e18, most = 0;
    constexpr int kDraws = 20'000;
    for (int i = 0; i < kDraws; ++i) {
      auto const got = static_cast<double>(jittered(limits, 100 * kMs, static_cast<std::uint32_t>(random_.next())));
      sum += got;
      least = std::min(least, got);
      most = std::max(most, got);
    }
    double const share = jitter / 1000.0;
    EXPECT_NEAR(sum / kDraws, 100e6, 2e6 * share + 1e3) << jitter;
    EXPECT_LT(least, 100e6 * (1 - share * 0.99)) << jitter;
    EXPECT_GT(most, 100e6 * (1 + share * 0.99)) << jitter;
  }
}

TEST_F(Backoff, TheRateIsAtLeastWhatIsReleased) {
  for (int i = 0; i < test::rounds(300'000); ++i) {
    std::uint64_t const capacity = any(std::uint64_t{1} << 50);
    std::uint64_t const used = any(std::uint64_t{1} << 50);
    std::uint64_t const released = any(std::uint64_t{1} << 50);
    std::uint64_t const rate = admission_rate(capacity, used, released);
    ASSERT_GE(rate, released);
    ASSERT_GT(rate, 0u) << "or nobody would ever get anything";
    ASSERT_GE(admission_rate(capacity, used, released + any(kGiB)), rate);
    ASSERT_LE(admission_rate(capacity, used + any(kGiB), released), rate);
    ASSERT_GE(admission_rate(capacity + any(kGiB), used, released), rate);
  }
}

// It comes to rest below the capacity, not at it; from further below it gets there within the window.
TEST_F(Backoff, TheRateFillsTheRoomThatIsLeft) {
  for (int i = 0; i < test::rounds(100'000); ++i) {
    std::uint64_t const capacity = kMiB + any(std::uint64_t{1} << 50);
    std::uint64_t const released = any(64 * kGiB);
    std::uint64_t const at_rest = admission_rate(capacity, capacity, released);
    ASSERT_LE(at_rest, std::max<std::uint64_t>(released, kMiB)) << "no more than is released";
    ASSERT_EQ(admission_rate(capacity, capacity - capacity / 1000, released), at_rest);
    std::uint64_t const used = capacity / 2 + any(capacity / 4);
    double const room = static_cast<double>(capacity - used);
    double const extra = static_cast<double>(admission_rate(capacity, used, released)) - static_cast<double>(released);
    double const in_window = extra * static_cast<double>(kLawWindowNs) / 1e9;
    ASSERT_GE(in_window, room * 0.8);
    ASSERT_LE(in_window, std::max(room, static_cast<double>(kMiB)));
  }
}

// What may be had at once without a sleep is little, whatever the capacity.
TEST_F(Backoff, DebtsAndGrantsAreSmall) {
  for (int i = 0; i < test::rounds(100'000); ++i) {
    std::uint64_t const capacity = any();
    std::uint64_t const more = capacity + std::min(any(), ~std::uint64_t{0} - capacity);
    ASSERT_LE(debt_quantum(capacity), capacity / 64);
    ASSERT_LE(debt_quantum(capacity), kMiB);
    ASSERT_GE(debt_quantum(more), debt_quantum(capacity));
    ASSERT_TRUE(capacity < kMiB || debt_quantum(capacity) > 0);
    auto const in_vain = static_cast<std::uint32_t>(any());
    std::uint64_t const waiting = any();
    std::uint64_t const grant = grant_bytes(capacity, in_vain, waiting);
    ASSERT_LE(grant, std::max<std::uint64_t>(capacity / 64, kPage));
    ASSERT_LE(grant, 16 * kMiB);
    ASSERT_GE(grant, kPage) << "or it would be of no use";
    ASSERT_GE(grant_bytes(more, in_vain, waiting), grant);
    ASSERT_GE(grant_bytes(capacity, in_vain == ~0u ? in_vain : in_vain + 1, waiting), grant);
    ASSERT_LE(grant_bytes(capacity, in_vain, waiting == ~std::uint64_t{0} ? waiting : waiting + 1), grant);
  }
}

TEST_F(Backoff, AfterAWaitInVainTheRateIsMatched) {
  ReleaseRate const slow = {20'000'000, 20'000'000}, quick = {200'000'000, 200'000'000};
  EXPECT_EQ(matching_ns(200'000, slow, kGiB, 0), 40 * kMs) << "four times the grant";
  EXPECT_EQ(matching_ns(200'000, quick, kGiB, 0), 4 * kMs);
  EXPECT_EQ(matching_ns(200'000, {1, 200'000'000}, kGiB, 0), 32 * kMs) << "kept out of a lock, at the highest rate";
  EXPECT_EQ(matching_ns(200'000, quick, kGiB, 2 * kGiB), 32 * kMs) << "however far over";
  for (int i = 0; i < test::rounds(300'000); ++i) {
    std::uint64_t const grant = any(), now = any(), most = any(), capacity = any(), used = any();
    std::uint64_t const ns = matching_ns(grant, {now, most}, capacity, used);
    ASSERT_GE(ns, kMs);
    ASSERT_LE(ns, 32 * kGiB * kMs) << "no overflow";
    ASSERT_GE(matching_ns(grant + std::min(any(), ~grant), {now, most}, capacity, used), ns);
    ASSERT_LE(matching_ns(grant, {now + std::min(any(), ~now), most}, capacity, used), ns);
    ASSERT_LE(matching_ns(grant, {now, most + std::min(any(), ~most)}, capacity, used), ns);
    ASSERT_GE(matching_ns(grant, {now, most}, capacity, used + std::min(any(), ~used)), ns) << "further over: longer";
  }
}

TEST_F(Backoff, PatienceIsBoundedByTheSetting) {
  for (int i = 0; i < test::rounds(300'000); ++i) {
    BackoffLimits const limits = any_limits();
    std::uint64_t const capacity = any(), used = any();
    bool const alone = random_.one_in(2);
    auto const trust = static_cast<std::int32_t>(random_.below(kMostTrust - kLeastTrust + 1)) + kLeastTrust;
    ASSERT_EQ(patience_ns(limits, false, alone, trust, capacity, used), limits.patience_ns);
    std::uint64_t const patience = patience_ns(limits, true, alone, trust, capacity, used);
    ASSERT_LE(patience, limits.patience_ns);
    ASSERT_TRUE(patience > 0 || limits.patience_ns == 0);
    ASSERT_GE(patience_ns(limits, true, alone, trust, capacity, used + std::min(any(), ~used)), patience)
        << "the further over, the longer";
    if (trust < kMostTrust) {
      ASSERT_GE(patience_ns(limits, true, alone, trust + 1, capacity, used), patience) << "the more trust, the longer";
    }
    ASSERT_LE(patience_ns(limits, true, true, trust, capacity, used),
              patience_ns(limits, true, false, trust, capacity, used));
    ASSERT_EQ(patience_ns(limits, true, true, trust, capacity, used),
              patience_ns(limits, true, true, trust, capacity, 0))
        << "who is alone hopes for nobody";
  }
}

// Where the policy lets allocations through, the first wait is short: it often holds up the very thread that would
// free.
TEST_F(Backoff, WhoMayGoOverHopesShortlyAtFirst) {
  BackoffLimits const limits;
  for (std::uint64_t const capacity : {kMiB, 100 * kMiB, 100 * kGiB}) {
    std::uint64_t const first = patience_ns(limits, true, false, 0, capacity, capacity);
    EXPECT_GT(first, 0u);
    EXPECT_LE(first, limits.patience_ns / 20);
    EXPECT_LE(patience_ns(limits, true, false, kLeastTrust, capacity, capacity), first);
    EXPECT_EQ(patience_ns(limits, true, false, 0, capacity, 4 * capacity), limits.patience_ns) << "longer in the end";
  }
  EXPECT_EQ(patience_ns({.patience_ns = 0}, true, false, kMostTrust, kMiB, kGiB), 0u);
}

}  // namespace
