// How long a thread has waited for nothing lately: never forgotten too early, and not remembered for ever.
#include <gtest/gtest.h>

#include <algorithm>
#include <deque>
#include <vector>

#include "capacity/budget.hpp"
#include "support.hpp"

namespace {

using namespace stealth;

constexpr std::uint64_t kMs = 1'000'000, kSecond = 1'000'000'000;
constexpr std::uint64_t kSpan = FruitlessTime::kSpanNs;

// The same, kept as a list.
class Model {
 public:
  void add(std::uint64_t now, std::uint64_t ns) { intervals_.push_back({now - ns, now}); }
  // What of it lies between the two.
  [[nodiscard]] std::uint64_t between(std::uint64_t from, std::uint64_t to) const {
    std::uint64_t sum = 0;
    for (Interval const& one : intervals_) {
      std::uint64_t const begin = std::max(one.begin, from), end = std::min(one.end, to);
      if (begin < end) sum += end - begin;
    }
    return sum;
  }
  [[nodiscard]] std::uint64_t lately(std::uint64_t now) const { return between(now < kSpan ? 0 : now - kSpan, now); }
  // Of all that ended within so much more than the span.
  [[nodiscard]] std::uint64_t at_most(std::uint64_t now, std::uint64_t more) const {
    std::uint64_t sum = 0;
    for (Interval const& one : intervals_) {
      if (one.end + kSpan + more > now) sum += one.end - one.begin;
    }
    return sum;
  }
  [[nodiscard]] std::size_t count() const { return intervals_.size(); }

 private:
  struct Interval {
    std::uint64_t begin, end;
  };
  std::vector<Interval> intervals_;
};

TEST(FruitlessTime, ZeroIsTheStateOfANewThread) {
  static constinit FruitlessTime fresh{};
  for (std::uint64_t const now : {std::uint64_t{0}, kMs, kSecond, kSpan, 3 * kSpan, ~std::uint64_t{0} / 2}) {
    FruitlessTime time{};
    EXPECT_EQ(time.within(now), 0u) << now;
    time.add(now, 20 * kMs);
    EXPECT_EQ(time.within(now), 20 * kMs) << now;
    EXPECT_EQ(time.within(now + kSpan - kMs), 20 * kMs) << now;
    EXPECT_EQ(time.within(now + 2 * kSpan), 0u) << now;
  }
  EXPECT_EQ(fresh.within(kSecond), 0u);
}

TEST(FruitlessTime, AgainstAList) {
  test::Random random(4);
  for (int round = 0; round < test::rounds(200); ++round) {
    FruitlessTime time{};
    Model model;
    std::uint64_t now = random.one_in(4) ? 0 : random.next() >> (1 + random.below(50));
    for (int i = 0; i < 300; ++i) {
      std::uint64_t const pause = random.one_in(50)  ? random.below(40 * kSecond)
                                  : random.one_in(5) ? random.below(3 * kSecond)
                                                     : random.skewed(100 * kMs);
      now += pause;
      if (random.one_in(3)) {
        std::uint64_t const slept = random.one_in(4) ? pause : random.below(pause + 1);
        time.add(now, slept);
        model.add(now, slept);
      }
      std::uint64_t const remembered = time.within(now);
      ASSERT_GE(remembered + 1000 * model.count(), model.lately(now)) << "forgotten too early";
      ASSERT_LE(remembered, model.at_most(now, kSpan / 10)) << "remembered for too long";
    }
  }
}

// A thread that sleeps in vain whenever it may, for as long as it may: over every 10 s, not only those that end with a
// sleep, it has slept no longer than its share.
TEST(FruitlessTime, NoSpanHoldsMoreThanTheShare) {
  test::Random random(5);
  for (std::uint64_t const share : {10u, 250u, 500u, 900u}) {
    FruitlessTime time{};
    Model model;
    std::uint64_t const most = kSpan / 1000 * share;
    std::uint64_t now = random.below(1000 * kSecond);
    std::uint64_t const begin = now, end = now + 6 * kSpan;
    std::vector<std::uint64_t> edges;
    std::uint64_t slept = 0;
    while (now < end) {
      std::uint64_t const gone = time.within(now);
      std::uint64_t const left = gone < most ? most - gone : 0;
      std::uint64_t const sleep = std::min<std::uint64_t>(left, random.skewed(100 * kMs));
      edges.push_back(now);
      now += sleep;
      edges.push_back(now);
      slept += sleep;
      time.add(now, sleep);
      model.add(now, sleep);
      now += random.skewed(10 * kMs);
    }
    for (std::size_t i = 0; i < edges.size(); i += 1 + edges.size() / 500) {
      std::uint64_t const from = edges[i], to = edges[i] + kSpan;
      ASSERT_LE(model.between(from, to), most + 1000 * model.count()) << share << ": from " << from - begin;
    }
    // And it gets most of what it may have.
    EXPECT_GE(slept, (end - begin) / 1000 * share * 9 / 10 / 10 * 9) << share;
  }
}

}  // namespace
