// What is released and how fast, who releases it, and debts: by a clock that the tests turn.
#include <gtest/gtest.h>

#include <algorithm>
#include <memory>
#include <queue>
#include <set>

#include "capacity/backoff.hpp"
#include "capacity/flow.hpp"
#include "puppet.hpp"
#include "support.hpp"

namespace {

using namespace stealth;
using test::Puppet;

constexpr std::uint64_t kMs = 1'000'000, kSecond = 1'000'000'000;

TEST(Flow, ThreadsAreToldApart) {
  Puppet a, b;
  EXPECT_EQ(std::set<ThreadTag>({this_thread(), a.tag(), b.tag()}).size(), 3u);
  EXPECT_EQ(this_thread(), this_thread());
  a.act([&] { EXPECT_EQ(this_thread(), a.tag()); });
}

TEST(Flow, NobodyFeedsAtFirst) {
  Flow const flow;
  for (std::uint64_t const now : {std::uint64_t{0}, kMs, kSecond, 1000 * kSecond}) {
    EXPECT_FALSE(flow.feeds(this_thread(), now));
    EXPECT_FALSE(flow.feeds(nullptr, now));
    EXPECT_FALSE(flow.only_by(this_thread(), now));
    EXPECT_FALSE(flow.only_by(nullptr, now));
  }
  EXPECT_EQ(flow.releases(), 0u);
}

TEST(Flow, OnesOwnReleasesFeedOnlyOthers) {
  Flow flow;
  Puppet other;
  flow.note_freed(100, kSecond);
  EXPECT_FALSE(flow.feeds(this_thread(), kSecond));
  EXPECT_TRUE(flow.only_by(this_thread(), kSecond));
  EXPECT_TRUE(flow.feeds(other.tag(), kSecond));
  EXPECT_FALSE(flow.only_by(other.tag(), kSecond));
  EXPECT_TRUE(flow.feeds(other.tag(), 2 * kSecond - kMs));
  EXPECT_FALSE(flow.feeds(other.tag(), 2 * kSecond)) << "a second is over";
  EXPECT_FALSE(flow.only_by(this_thread(), 2 * kSecond));
  EXPECT_TRUE(flow.feeds(other.tag(), kSecond - kMs)) << "clocks are read before locks are had";
}

TEST(Flow, ReleasesAreCounted) {
  Flow flow;
  flow.note_pages(100);
  EXPECT_EQ(flow.releases(), 0u) << "pages say nothing of who freed them";
  test::in_threads(4, [&](int) {
    for (int i = 0; i < 1000; ++i) flow.note_freed(1, kSecond);
  });
  EXPECT_EQ(flow.releases(), 4000u);
}

// Who has released what when, against a list.
TEST(Flow, EvidenceAgainstAList) {
  constexpr std::size_t kThreads = 4;
  std::unique_ptr<Puppet> threads[kThreads];
  for (auto& thread : threads) thread = std::make_unique<Puppet>();
  test::Random random(6);
  for (int round = 0; round < test::rounds(100); ++round) {
    Flow flow;
    std::uint64_t last[kThreads] = {};
    std::uint64_t now = kSecond + random.below(1000 * kSecond);
    std::size_t const active = 1 + random.below(kThreads);
    for (int i = 0; i < 60; ++i) {
      now += random.one_in(4) ? random.below(2 * kSecond) : random.skewed(50 * kMs);
      std::size_t const who = random.below(active);
      threads[who]->act([&] { flow.note_freed(1, now); });
      last[who] = now;
      std::uint64_t const later = now + (random.one_in(2) ? 0 : random.below(2 * kSecond));
      auto const recent = [&](std::size_t thread) { return last[thread] != 0 && later - last[thread] < kSecond; };
      for (std::size_t thread = 0; thread < kThreads; ++thread) {
        bool others = false;
        for (std::size_t other = 0; other < kThreads; ++other) others = others || (other != thread && recent(other));
        ASSERT_EQ(flow.feeds(threads[thread]->tag(), later), others) << thread << " in step " << i;
        ASSERT_EQ(flow.only_by(threads[thread]->tag(), later), recent(thread) && !others) << thread;
      }
    }
  }
}

TEST(Flow, EvidenceUnderThreads) {
  Flow flow;
  std::atomic<bool> stop{false};
  std::thread two[2];
  for (std::thread& thread : two) {
    thread = std::thread([&] {
      for (std::uint64_t now = kSecond; !stop; now += 1000) flow.note_freed(1, kSecond + now % kMs);
    });
  }
  ASSERT_TRUE(test::soon([&] { return flow.releases() > 100; }));
  for (int i = 0; i < test::rounds(100'000); ++i) {
    ASSERT_TRUE(flow.feeds(this_thread(), kSecond + kMs));
    ASSERT_FALSE(flow.only_by(this_thread(), kSecond + kMs));
  }
  stop = true;
  for (std::thread& thread : two) thread.join();
}

// --- rates ---

class Rates : public testing::Test {
 protected:
  // So many bytes a second for a while, asked for at random times.
  Flow::Rates run(std::uint64_t pages, std::uint64_t reusable, std::uint64_t ns) {
    Flow::Rates rates{};
    for (std::uint64_t const end = now_ + ns; now_ < end;) {
      std::uint64_t const step = 1'000'000 + random_.below(20 * kMs);
      now_ += step;
      flow_.note_pages(pages * (step / 1000) / 1'000'000);
      flow_.note_freed(reusable * (step / 1000) / 1'000'000, now_);
      rates = flow_.rates(now_);
    }
    return rates;
  }
  Flow flow_;
  test::Random random_{7};
  std::uint64_t now_ = 1000 * kSecond;
};

TEST_F(Rates, NothingAtFirst) {
  Flow::Rates const rates = flow_.rates(now_);
  EXPECT_EQ(rates.pages.now, 0u);
  EXPECT_EQ(rates.reusable.now, 0u);
}

TEST_F(Rates, WhatIsConstantIsFound) {
  for (std::uint64_t const rate : {kMiB, 10 * kMiB, 200 * kMiB, 10 * kGiB}) {
    static_cast<void>(flow_.rates(now_));
    Flow::Rates const rates = run(rate, rate / 4, kSecond);
    EXPECT_NEAR(static_cast<double>(rates.pages.now), static_cast<double>(rate), static_cast<double>(rate) / 20);
    EXPECT_NEAR(static_cast<double>(rates.reusable.now), static_cast<double>(rate / 4), static_cast<double>(rate) / 80);
  }
}

TEST_F(Rates, WhatEndsIsForgotten) {
  std::uint64_t const before = run(100 * kMiB, 50 * kMiB, kSecond).pages.now;
  std::uint64_t last = before;
  for (int i = 0; i < 200; ++i) {
    now_ += 5 * kMs;
    Flow::Rates const rates = flow_.rates(now_);
    ASSERT_LE(rates.pages.now, last) << "it only falls";
    last = rates.pages.now;
  }
  EXPECT_LT(last, before / 100);
  EXPECT_LT(flow_.rates(now_ + kSecond).reusable.now, before / 100);
}

TEST_F(Rates, TheHighestIsForgottenMoreSlowly) {
  static_cast<void>(flow_.rates(now_));
  std::uint64_t const before = run(100 * kMiB, 50 * kMiB, kSecond).pages.most;
  EXPECT_GE(before, 95 * kMiB);
  EXPECT_LE(before, 200 * kMiB);
  ReleaseRate const after = run(kMiB, kMiB, kSecond / 2).pages;
  EXPECT_LT(after.now, 3 * kMiB);
  EXPECT_GT(after.most, before / 2);
  EXPECT_LT(run(kMiB, kMiB, 4 * kSecond).pages.most, before / 20);
  EXPECT_EQ(flow_.rates(now_ + 2 * kSecond).any().most, 0u) << "what was then says nothing about now";
}

TEST_F(Rates, TheFirstMomentIsNoRecord) {
  static_cast<void>(flow_.rates(now_));
  flow_.note_pages(10 * kMiB);
  now_ += 2 * kMs;
  EXPECT_GT(flow_.rates(now_).pages.now, kGiB) << "as if it went on so";
  EXPECT_EQ(flow_.rates(now_).pages.most, 0u);
}

// A burst is spread over the window: it raises the rate by no more than all of it within the window would.
TEST_F(Rates, BurstsAreAveraged) {
  static_cast<void>(run(kMiB, kMiB, kSecond));
  flow_.note_pages(10 * kMiB);
  now_ += 2 * kMs;
  std::uint64_t const at_once = flow_.rates(now_).pages.now;
  EXPECT_GT(at_once, 10 * kMiB);
  EXPECT_LE(at_once, (10 * kMiB + kMiB) * (kSecond / kLawWindowNs) * 11 / 10);
}

TEST_F(Rates, TooOftenIsTheSameAsBefore) {
  static_cast<void>(run(kMiB, kMiB, kSecond));
  Flow::Rates const before = flow_.rates(now_);
  flow_.note_pages(kGiB);
  for (int i = 0; i < 100; ++i) {
    Flow::Rates const rates = flow_.rates(now_ + static_cast<std::uint64_t>(i));
    ASSERT_EQ(rates.pages.now, before.pages.now);
    ASSERT_EQ(rates.reusable.now, before.reusable.now);
  }
  EXPECT_EQ(flow_.rates(now_ - kSecond).pages.now, before.pages.now) << "a clock read earlier";
  EXPECT_GT(flow_.rates(now_ + 10 * kMs).pages.now, before.pages.now) << "and nothing of it is lost";
}

// --- debts ---

constexpr std::uint64_t kQuantum = debt_quantum(96 * kMiB);

TEST(Debts, SmallOnesAddUp) {
  Flow flow;
  std::uint64_t taken = 0, booked = 0;
  std::uint64_t const now = 1000 * kSecond;
  static_cast<void>(flow.book(0, {kMiB, kQuantum}, now));
  for (int i = 0; i < 1000; ++i) {
    booked += kPage;
    std::uint64_t const debt = flow.book(kPage, {kMiB, kQuantum}, now);
    if (debt != 0) {
      EXPECT_GE(debt, kQuantum);
      EXPECT_LT(debt, kQuantum + kPage);
    }
    taken += debt;
  }
  // What the rate had saved up before, a quantum, is free.
  EXPECT_LE(taken, booked);
  EXPECT_GE(taken + 2 * kQuantum, booked) << "none is lost";
}

TEST(Debts, TheRatePaysThem) {
  Flow flow;
  std::uint64_t now = 1000 * kSecond;
  for (int i = 0; i < 10'000; ++i) {
    ASSERT_EQ(flow.book(kPage, {10 * kMiB, kQuantum}, now), 0u) << "slower than the rate";
    now += kPage * kSecond / (9 * kMiB);
  }
  // What is not made use of is not saved up: not after a day.
  now += 24 * 3600 * kSecond;
  EXPECT_NE(flow.book(2 * kQuantum, {10 * kMiB, kQuantum}, now), 0u);
  now += 24 * 3600 * kSecond;
  EXPECT_EQ(flow.book(kQuantum, {10 * kMiB, kQuantum}, now), 0u);
}

TEST(Debts, AClockReadEarlierPaysNothing) {
  Flow flow;
  std::uint64_t const now = 1000 * kSecond;
  static_cast<void>(flow.book(2 * kQuantum, {10 * kMiB, kQuantum}, now));
  EXPECT_EQ(flow.book(kQuantum - 1, {10 * kMiB, kQuantum}, now - kSecond), 0u);
  EXPECT_EQ(flow.book(1, {10 * kMiB, kQuantum}, now - kSecond), kQuantum);
}

// What is booked for others is slept for by those who book for themselves, as far as the window goes.
TEST(Debts, AreLeftToOthers) {
  constexpr Flow::Terms kTerms = {10 * kMiB, kQuantum};
  Flow flow;
  std::uint64_t const now = 1000 * kSecond;
  flow.book_for_others(3 * kQuantum, kTerms, now);
  EXPECT_EQ(flow.book(kPage, kTerms, now), 2 * kQuantum + kPage) << "a quantum had been saved up";
  EXPECT_EQ(flow.book(kPage, kTerms, now), 0u);
  for (int i = 0; i < 100; ++i) flow.book_for_others(kMiB, kTerms, now);
  EXPECT_LE(flow.book(kPage, kTerms, now), kMiB + kPage);
  flow.book_for_others(~std::uint64_t{0}, {1, kQuantum}, now);
  EXPECT_LE(flow.book(kPage, {1, kQuantum}, now), kQuantum + kPage);
}

TEST(Debts, AnySize) {
  test::Random random(8);
  for (int round = 0; round < test::rounds(2000); ++round) {
    Flow flow;
    std::uint64_t now = random.next() >> (2 + random.below(40));
    for (int i = 0; i < 50; ++i) {
      std::uint64_t const bytes = random.next() >> random.below(64);
      std::uint64_t const rate = random.next() >> (14 + random.below(50));
      std::uint64_t const quantum = random.below(std::size_t{1} << (1 + random.below(30)));
      std::uint64_t const debt = flow.book(bytes, {rate, quantum}, now);
      ASSERT_TRUE(debt == 0 || debt >= quantum);
      ASSERT_LE(debt, (std::uint64_t{1} << 40) + (std::uint64_t{1} << 31)) << "a debt of a few requests";
      now += random.next() >> (20 + random.below(44));
    }
  }
}

TEST(Debts, SleepersQueueUp) {
  Flow flow;
  std::uint64_t const now = 1000 * kSecond;
  for (std::uint64_t i = 1; i <= 10; ++i) EXPECT_EQ(flow.queue_up(3 * kMs, 100 * kMs, now), i * 3 * kMs);
  EXPECT_EQ(flow.queue_up(3 * kMs, 100 * kMs, now + 10 * kMs), 23 * kMs) << "time goes by";
  EXPECT_EQ(flow.queue_up(3 * kMs, 100 * kMs, now + kSecond), 3 * kMs);
  for (int i = 0; i < 100; ++i) ASSERT_LE(flow.queue_up(3 * kMs, 20 * kMs, now + kSecond), 20 * kMs);
  EXPECT_EQ(flow.queue_up(3 * kMs, 2 * kMs, now + 2 * kSecond), 2 * kMs);
  EXPECT_EQ(flow.queue_up(0, 2 * kMs, now + 3 * kSecond), 0u);
}

// Threads that want as much as they can get, by the room's own rules, in a time of their own.
class Sleepers {
 public:
  Sleepers(std::size_t threads, std::uint64_t rate, std::uint64_t chunk) : rate_(rate), chunk_(chunk), got_(threads) {
    for (std::size_t i = 0; i < threads; ++i) events_.push({kBegin + i, i});
  }
  void run(std::uint64_t ns) {
    BackoffLimits const limits;
    for (; events_.top().at < kBegin + ns; events_.pop()) {
      auto const [now, who] = events_.top();
      std::uint64_t sleep = 0;
      if (std::uint64_t const debt = flow_.book(chunk_, {rate_, kQuantum}, now); debt != 0) {
        std::uint64_t const own = delay_ns(limits, {.phase = Phase::approach, .bytes = debt, .rate = rate_});
        sleep = flow_.queue_up(own, limits.max_wait_ns, now);
        EXPECT_LE(sleep, limits.max_wait_ns);
        if (sleep < kShortestSleep) sleep = 0;
      }
      got_[who] += chunk_;
      events_.push({now + sleep + kWorkNs, who});
    }
  }
  [[nodiscard]] std::uint64_t all() const {
    std::uint64_t sum = 0;
    for (std::uint64_t const bytes : got_) sum += bytes;
    return sum;
  }
  [[nodiscard]] std::uint64_t least() const { return *std::min_element(got_.begin(), got_.end()); }

 private:
  static constexpr std::uint64_t kBegin = 1000 * kSecond, kWorkNs = 2000;
  struct Event {
    std::uint64_t at;
    std::size_t who;
    bool operator<(Event const& other) const { return at > other.at; }  // the earliest first
  };
  Flow flow_;
  std::uint64_t rate_, chunk_;
  std::vector<std::uint64_t> got_;
  std::priority_queue<Event> events_;
};

TEST(Debts, ManySleepersKeepToTheRateAndShareIt) {
  for (std::size_t const threads : {1u, 2u, 8u, 32u}) {
    for (std::uint64_t const rate : {10 * kMiB, 50 * kMiB, 200 * kMiB}) {
      for (std::uint64_t const chunk : {kPage, 4 * kPage}) {
        Sleepers sleepers(threads, rate, chunk);
        std::uint64_t const seconds = test::kSanitized ? 2 : 10;
        sleepers.run(seconds * kSecond);
        auto const what = [&] { return std::to_string(threads) + " at " + std::to_string(rate / kMiB); };
        EXPECT_LE(sleepers.all(), rate * seconds * 11 / 10 + threads * 2 * kQuantum) << what();
        EXPECT_GE(sleepers.all(), rate * seconds * 8 / 10) << what();
        EXPECT_GE(sleepers.least(), sleepers.all() / threads / 2) << what();
      }
    }
  }
}

// --- who asks ---

TEST(Askers, ThreadsAreCountedOnceAWindow) {
  for (std::uint32_t const threads : {1u, 3u, 20u}) {
    Flow flow;
    std::vector<std::uint64_t> seen(threads, 0);
    std::uint64_t now = 1000 * kSecond;
    std::uint32_t count = 0;
    for (std::uint64_t const end = now + 10 * kLawWindowNs; now < end; now += kMs) {
      for (std::uint64_t& one : seen) {
        count = flow.count_asker(one, now);
        ASSERT_GE(count, 1u);
        ASSERT_LE(count, threads);
      }
    }
    EXPECT_EQ(count, threads);
    // One of them alone goes on.
    for (std::uint64_t const end = now + 3 * kLawWindowNs; now < end; now += kMs)
      count = flow.count_asker(seen[0], now);
    EXPECT_EQ(count, 1u);
  }
}

}  // namespace
