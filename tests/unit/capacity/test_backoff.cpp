// The delay is one pure function: its bounds, and the whole course of a wait without waiting.
#include <gtest/gtest.h>

#include <algorithm>

#include "capacity/backoff.hpp"
#include "support.hpp"

namespace {

using namespace stealth;

constexpr std::uint64_t kMs = 1'000'000;

TEST(Backoff, FirstWaitsDouble) {
  BackoffLimits const limits;
  EXPECT_EQ(next_wait_ns(limits, 0, 0, 0), 200'000u);
  EXPECT_EQ(next_wait_ns(limits, 1, 0, 0), 400'000u);
  EXPECT_EQ(next_wait_ns(limits, 2, 0, 0), 800'000u);
  EXPECT_EQ(next_wait_ns(limits, 8, 0, 0), 51'200'000u);
  EXPECT_EQ(next_wait_ns(limits, 9, 0, 0), limits.max_wait_ns);
}

TEST(Backoff, EndsByPatienceAndByElapsedTime) {
  BackoffLimits const limits = {100 * kMs, 1000 * kMs, 5000 * kMs};
  EXPECT_EQ(next_wait_ns(limits, 20, 1000 * kMs, 1000 * kMs), 0u);
  EXPECT_EQ(next_wait_ns(limits, 20, 999 * kMs, 999 * kMs), 1 * kMs);
  EXPECT_EQ(next_wait_ns(limits, 20, 0, 5000 * kMs), 0u);
  EXPECT_EQ(next_wait_ns(limits, 20, 0, 4998 * kMs), 2 * kMs);
  EXPECT_EQ(next_wait_ns(limits, 0, ~std::uint64_t{0}, 0), 0u);
  EXPECT_EQ(next_wait_ns(limits, 0, 0, ~std::uint64_t{0}), 0u);
}

TEST(Backoff, NoPatienceNoWait) {
  EXPECT_EQ(next_wait_ns({100 * kMs, 0, 5000 * kMs}, 0, 0, 0), 0u);
  EXPECT_EQ(next_wait_ns({100 * kMs, 1000 * kMs, 0}, 0, 0, 0), 0u);
}

TEST(Backoff, AnyCount) {
  BackoffLimits const limits = {~std::uint64_t{0}, ~std::uint64_t{0}, ~std::uint64_t{0}};
  std::uint64_t before = 0;
  for (std::uint32_t const n : {0u, 1u, 31u, 32u, 33u, 63u, 64u, 65u, 1000u, ~0u}) {
    std::uint64_t const wait = next_wait_ns(limits, n, 0, 0);
    EXPECT_GE(wait, before) << n;
    before = wait;
  }
}

TEST(Backoff, Bounds) {
  test::Random random(2);
  for (int i = 0; i < 200'000; ++i) {
    auto const any = [&] { return random.next() >> random.below(64); };
    BackoffLimits const limits = {any(), any(), any()};
    auto const fruitless = static_cast<std::uint32_t>(random.below(70));
    std::uint64_t const silence = any(), elapsed = any();
    std::uint64_t const wait = next_wait_ns(limits, fruitless, silence, elapsed);
    if (silence >= limits.patience_ns || elapsed >= limits.max_elapsed_ns) {
      ASSERT_EQ(wait, 0u);
      continue;
    }
    ASSERT_GE(wait, 1u) << "0 would say that the call has waited enough";
    ASSERT_LE(wait, std::max<std::uint64_t>(limits.max_wait_ns, 1));
    ASSERT_LE(wait, limits.patience_ns - silence);
    ASSERT_LE(wait, limits.max_elapsed_ns - elapsed);
    // More fruitless waits: longer. More silence, more time gone: shorter.
    ASSERT_GE(next_wait_ns(limits, fruitless + 1, silence, elapsed), wait);
    ASSERT_LE(next_wait_ns(limits, fruitless, silence + 1, elapsed), wait);
    ASSERT_LE(next_wait_ns(limits, fruitless, silence, elapsed + 1), wait);
  }
}

// A call that nobody helps, and one that is fed again and again: never past its limits, and a wait has an end.
TEST(Backoff, WholeCourses) {
  test::Random random(3);
  for (int i = 0; i < 2000; ++i) {
    BackoffLimits const limits = {(1 + random.below(200)) * kMs, random.below(3000) * kMs, random.below(20000) * kMs};
    bool const fed = i % 2 == 1;
    std::size_t const fed_one_in = 1 + random.below(20);
    std::uint64_t elapsed = 0, silence = 0;
    std::uint32_t fruitless = 0;
    int waits = 0;
    while (std::uint64_t const wait = next_wait_ns(limits, fruitless, silence, elapsed)) {
      elapsed += wait;
      silence += wait;
      ++fruitless;
      if (fed && random.one_in(fed_one_in)) silence = fruitless = 0;
      ASSERT_LE(++waits, 110'000);  // 20 s in steps of 0.2 ms
    }
    ASSERT_LE(elapsed, limits.max_elapsed_ns);
    if (!fed) {
      ASSERT_EQ(elapsed, std::min(limits.patience_ns, limits.max_elapsed_ns));
    }
  }
}

}  // namespace
