// Stalls are facts: each is counted once, in the right place, by any thread.
#include <gtest/gtest.h>

#include <numeric>

#include "capacity/stalls.hpp"
#include "support.hpp"

namespace {

using namespace stealth;

StallFacts facts_of(Stalls const& stalls) {
  StallFacts facts{};
  stalls.read(facts);
  return facts;
}

TEST(Stalls, WhatIsCounted) {
  Stalls stalls;
  stalls.slept(700);
  stalls.slept(300);
  stalls.waited(3, 5'000'000);
  stalls.waited(0, 1'000);
  stalls.granted(3);
  stalls.refused();
  stalls.refused();
  stalls.observed(10);
  stalls.observed(5);
  StallFacts const facts = facts_of(stalls);
  EXPECT_EQ(facts.waits, 2u);
  EXPECT_EQ(facts.waited_ns, 5'001'000u);
  EXPECT_EQ(facts.longest_ns, 5'000'000u);
  EXPECT_EQ(facts.longest_sleep_ns, 700u);
  EXPECT_EQ(facts.grants, 1u);
  EXPECT_EQ(facts.refusals, 2u);
  EXPECT_EQ(facts.observed_ns, 15u);
  EXPECT_EQ(stalls.of_kind(3).waits, 1u);
  EXPECT_EQ(stalls.of_kind(3).waited_ns, 5'000'000u);
  EXPECT_EQ(stalls.of_kind(3).grants, 1u);
  EXPECT_EQ(stalls.of_kind(0).waits, 1u);
  EXPECT_EQ(stalls.of_kind(0).waited_ns, 1'000u);
  EXPECT_EQ(stalls.of_kind(0).grants, 0u);
  EXPECT_EQ(stalls.of_kind(kStallKinds - 1).waits, 0u);
}

TEST(Stalls, TheHistogramsBuckets) {
  // Those below 2^i microseconds, and not below half of it.
  auto const bucket_of = [](std::uint64_t ns) {
    Stalls stalls;
    stalls.waited(0, ns);
    StallFacts const facts = facts_of(stalls);
    EXPECT_EQ(std::accumulate(std::begin(facts.histogram), std::end(facts.histogram), std::uint64_t{0}), 1u) << ns;
    for (std::uint32_t i = 0; i < kStallBuckets; ++i) {
      if (facts.histogram[i] != 0) return i;
    }
    return kStallBuckets;
  };
  EXPECT_EQ(bucket_of(0), 0u);
  EXPECT_EQ(bucket_of(999), 0u);
  for (std::uint32_t i = 1; i < kStallBuckets - 1; ++i) {
    std::uint64_t const end = (std::uint64_t{1} << i) * 1000;
    EXPECT_EQ(bucket_of(end / 2), i);
    EXPECT_EQ(bucket_of(end - 1), i);
  }
  std::uint64_t const last = (std::uint64_t{1} << (kStallBuckets - 2)) * 1000;
  for (std::uint64_t const ns : {last, 2 * last, 1000 * last, ~std::uint64_t{0}}) {
    EXPECT_EQ(bucket_of(ns), kStallBuckets - 1) << ns;
  }
}

TEST(Stalls, UnderThreads) {
  Stalls stalls;
  int const each = test::rounds(20'000);
  test::in_threads(4, [&](int index) {
    for (int i = 0; i < each; ++i) {
      stalls.slept(static_cast<std::uint64_t>(i));
      stalls.waited(static_cast<std::uint32_t>(index), static_cast<std::uint64_t>(i));
    }
  });
  StallFacts const facts = facts_of(stalls);
  auto const n = static_cast<std::uint64_t>(each);
  EXPECT_EQ(facts.waits, 4 * n);
  EXPECT_EQ(facts.waited_ns, 4 * (n * (n - 1) / 2));
  EXPECT_EQ(facts.longest_ns, n - 1);
  EXPECT_EQ(facts.longest_sleep_ns, n - 1);
  for (std::uint32_t kind = 0; kind < 4; ++kind) EXPECT_EQ(stalls.of_kind(kind).waits, n);
}

}  // namespace
