// Several threads that wait in earnest: in order, woken by what they wait for, and to the byte. Where it matters who
// ends a sleep, the clock ends none: so a lost wake-up shows, and a busy machine may be as late as it likes.
#include <sys/wait.h>
#include <unistd.h>

#include <mutex>
#include <vector>

#include "callers.hpp"

namespace {

using namespace stealth;
using test::Caller;
using test::capacity;
using test::charge;
using test::full_at;
using test::kMs;
using test::ms_since;
using test::soon;

class Waiters : public test::Waiting {
 protected:
  // From the fourth on a waiter's sleeps are longer.
  static constexpr std::uint64_t kLongSleep = kMs;
  [[nodiscard]] static bool all_asleep(std::size_t threads) {
    return soon([threads] { return fake::asleep() == threads; });
  }
};

TEST_F(Waiters, AReleaseWakes) {
  budget_.configure(full_at(100, 20'000));
  fake::only_wakes_end(kLongSleep);
  for (int round = 0; round < 20; ++round) {
    ASSERT_TRUE(charge(budget_, 100));
    std::atomic<bool> got{false};
    std::thread waiter([&] {
      EXPECT_EQ(Caller().take(budget_, 40), Verdict::again);
      got = true;
    });
    ASSERT_TRUE(waiting(1));
    if (round % 5 == 4) {
      ASSERT_TRUE(all_asleep(1));
    } else {
      std::this_thread::sleep_for(std::chrono::milliseconds(round % 5));
    }
    EXPECT_FALSE(got);
    auto const begin = std::chrono::steady_clock::now();
    budget_.release(40);
    waiter.join();
    ASSERT_LT(ms_since(begin), test::kLateMs) << "a lost wake-up";
    budget_.release(100);
    ASSERT_EQ(budget_.facts().held, 0u);
    ASSERT_EQ(budget_.facts().waiting_now, 0u);
  }
  EXPECT_EQ(budget_.facts().refusals, 0u);
}

// Whatever it is that a waiter can go on by.
TEST_F(Waiters, TheWakeUpIsNotTheClock) {
  CapacityLimits const limits = full_at(100, 20'000);
  fake::only_wakes_end(kLongSleep);
  enum Way { own_key, anybody, release, configured, ways };
  for (int way = 0; way < ways; ++way) {
    int heap = 0;
    Budget budget;
    budget.configure(limits);
    ASSERT_TRUE(charge(budget, 100));
    std::atomic<bool> freed{false};
    std::thread waiter([&] {
      ThreadAccount account{};
      Charge charge{.level = Level::within, .account = &account};
      Wait wait(budget, charge, {.key = &heap}, test::always);
      while (!budget.try_charge(100, charge)) {
        ASSERT_EQ(wait.step(true), Verdict::again);
        if (freed && (way == own_key || way == anybody)) break;  // no page has come of it: it is to look, no more
        wait.claim();
      }
    });
    ASSERT_TRUE(all_asleep(1));
    auto const begin = std::chrono::steady_clock::now();
    ThreadAccount account{};
    freed = true;
    if (way == own_key) budget.freed(1, &heap, &account);
    if (way == anybody) budget.freed(1, nullptr, &account);
    if (way == release) budget.release(100);
    if (way == configured) budget.configure(capacity(1000));
    waiter.join();
    ASSERT_LT(ms_since(begin), test::kLateMs) << "a lost wake-up: " << way;
  }
}

// Whoever came first is served first, however much the others want.
TEST_F(Waiters, InOrderOfArrival) {
  constexpr int kThreads = 8;
  CapacityLimits limits = full_at(100'000, 60'000);
  limits.soft = 1;
  budget_.configure(limits);
  fake::only_wakes_end(kLongSleep);
  ASSERT_TRUE(charge(budget_, 100'000));
  std::vector<int> order;
  std::atomic<int> served{0};
  std::mutex mutex;
  std::vector<std::thread> threads;
  auto const wanted = [](int index) { return static_cast<std::size_t>(index % 3 == 0 ? 7000 : 1000 + index); };
  for (int index = 0; index < kThreads; ++index) {
    threads.emplace_back([&, index] {
      EXPECT_EQ(Caller().take(budget_, wanted(index)), Verdict::again);
      std::lock_guard const hold(mutex);
      order.push_back(index);
      ++served;
    });
    // It counts as waiting just before it stands in the queue, and sleeps when it does.
    ASSERT_TRUE(all_asleep(static_cast<std::size_t>(index) + 1));
  }
  for (int index = 0; index < kThreads; ++index) {
    for (std::size_t left = wanted(index); left > 0;) {
      std::size_t const part = std::min<std::size_t>(left, 700);
      EXPECT_FALSE(charge(budget_, 1)) << "a newcomer";
      EXPECT_EQ(served, index);
      budget_.release(part);
      left -= part;
    }
    ASSERT_TRUE(soon([&] { return served == index + 1; })) << index;
  }
  for (std::thread& thread : threads) thread.join();
  for (int index = 0; index < kThreads; ++index) EXPECT_EQ(order[static_cast<std::size_t>(index)], index);
  EXPECT_EQ(budget_.held(), 100'000u);
}

// Threads that hand a scarce budget around: everybody gets through, nobody is refused, nothing is lost.
TEST_F(Waiters, HandingItAround) {
  budget_.configure(full_at(100, 20'000));
  std::atomic<int> inside{0};
  int const each = test::rounds(400);
  test::in_threads(6, [&](int) {
    Caller caller;
    for (int i = 0; i < each; ++i) {
      ASSERT_EQ(caller.take(budget_, 50), Verdict::again);
      ASSERT_LE(++inside, 2);
      if (i % 8 == 0) std::this_thread::yield();
      --inside;
      budget_.release(50);
    }
  });
  EXPECT_EQ(budget_.facts().held, 0u);
  EXPECT_EQ(budget_.facts().waiting_now, 0u);
  EXPECT_EQ(budget_.facts().refusals, 0u);
  EXPECT_LE(budget_.facts().peak_held, 100u);
}

// All that can happen to a request, at once: it changes its size as it waits, is granted something and leaves without
// it, is refused, goes over, is delayed; and settings change meanwhile. Every byte is charged once and given back once.
// At first nothing is left for anybody, and a part of it stays away: they wait, even where the machine lets one run
// after the other.
TEST_F(Waiters, ToTheByte) {
  for (OnExhausted const policy : {OnExhausted::enomem, OnExhausted::grant}) {
    Budget budget;
    constexpr std::uint64_t kWhole = 100'000;
    CapacityLimits limits = full_at(kWhole, 3, policy);
    limits.backoff.max_wait_ns = kMs;
    budget.configure(limits);
    constexpr std::uint64_t kAway = kWhole / 4;
    ASSERT_TRUE(charge(budget, kWhole));
    std::atomic<std::uint64_t> out{kWhole}, refused{0}, granted{0}, waits{0};
    int heaps[4] = {};
    test::in_threads(7, [&](int index) {
      if (index == 6) {
        EXPECT_TRUE(soon([&] { return waits != 0; }));
        out -= kWhole - kAway;
        budget.release(kWhole - kAway);
        return;
      }
      test::Random random(30 + static_cast<std::uint64_t>(index));
      Caller caller;
      std::vector<std::size_t> mine;
      for (int i = 0; i < test::rounds(3000); ++i) {
        if (index == 0 && random.one_in(50)) {
          limits.capacity = random.one_in(2) ? kWhole : kWhole / 2;
          limits.soft = static_cast<std::uint32_t>(1 + random.below(1000));
          budget.configure(limits);
        }
        if (!mine.empty() && random.below(2 * kWhole / 1000) < mine.size() * 10) {
          out -= mine.back();
          budget.freed(mine.back(), random.one_in(2) ? nullptr : &heaps[random.below(4)], &caller.account);
          budget.release(mine.back());
          mine.pop_back();
          continue;
        }
        std::size_t bytes = random.skewed(20'000);
        Charge charge{.level = Level::within, .account = &caller.account};
        Wait wait(budget, charge, {.kind = 1, .key = &heaps[random.below(4)]}, test::always);
        bool got = false;
        while (!(got = budget.try_charge(bytes, charge))) {
          Verdict verdict = wait.step(!random.one_in(5));
          if (verdict == Verdict::exhausted) {
            verdict = wait.decide();
            ++(verdict == Verdict::refused ? refused : granted);
            if (verdict == Verdict::refused) break;
            charge.level = Level::over;
          } else {
            ++waits;
          }
          if (random.one_in(20)) break;  // it was served otherwise
          if (random.one_in(3)) bytes = random.skewed(20'000);
          wait.claim();
        }
        if (!got) continue;
        std::uint64_t const now = out += bytes;
        if (policy == OnExhausted::enomem) {
          ASSERT_LE(now, kWhole);
        }
        mine.push_back(bytes);
      }
      for (std::size_t const bytes : mine) out -= bytes, budget.release(bytes);
    });
    EXPECT_EQ(budget.held(), kAway);
    EXPECT_EQ(out, kAway);
    EXPECT_FALSE(budget.has_waiters());
    EXPECT_EQ(budget.facts().waiting_now, 0u);
    EXPECT_EQ(budget.facts().refusals, refused);
    EXPECT_EQ(budget.facts().grants, granted);
    EXPECT_GT(budget.facts().waits, 0u);
    EXPECT_EQ(budget.facts().waits, budget.stalls_of(1).waits);
    budget.release(kAway);
    budget.configure(capacity(kWhole));
    EXPECT_TRUE(charge(budget, kWhole)) << "all of it came back";
  }
}

// A capacity that is raised while threads wait lets them all go on.
TEST_F(Waiters, ALargerCapacityWakesThemAll) {
  CapacityLimits limits = full_at(100, 30'000);
  budget_.configure(limits);
  fake::only_wakes_end(kLongSleep);
  ASSERT_TRUE(charge(budget_, 100));
  std::vector<std::thread> threads;
  for (int i = 0; i < 5; ++i) {
    threads.emplace_back([&] { EXPECT_EQ(Caller().take(budget_, 100), Verdict::again); });
  }
  ASSERT_TRUE(all_asleep(5));
  auto const begin = std::chrono::steady_clock::now();
  limits.capacity = 600;
  budget_.configure(limits);
  for (std::thread& thread : threads) thread.join();
  EXPECT_LT(ms_since(begin), test::kLateMs) << "a lost wake-up";
  EXPECT_EQ(budget_.held(), 600u);
}

// Many exhaust it at the same moment: one line.
TEST_F(Waiters, OneLineForAll) {
  budget_.configure(full_at(100, 0));
  ASSERT_TRUE(charge(budget_, 100));
  test::in_threads(4, [&](int) {
    Caller caller;
    for (int i = 0; i < test::rounds(50'000); ++i) ASSERT_EQ(caller.take(budget_, 1), Verdict::refused);
  });
  EXPECT_EQ(times_said("stealth: capacity exhausted"), 1u);
  EXPECT_EQ(budget_.facts().refusals, 4 * static_cast<std::uint64_t>(test::rounds(50'000)));
}

TEST_F(Waiters, OneFirstLineForAll) {
  budget_.configure(full_at(100, 20));
  ASSERT_TRUE(charge(budget_, 100));
  test::in_threads(6, [&](int) { EXPECT_EQ(Caller().take(budget_, 1), Verdict::refused); });
  EXPECT_EQ(times_said("allocation slows down"), 1u);
}

// The facts can be read while everybody waits.
TEST_F(Waiters, FactsWhileAllWait) {
  budget_.configure(full_at(100, 30'000));
  ASSERT_TRUE(charge(budget_, 120, Level::over));
  std::thread threads[3];
  for (std::thread& thread : threads)
    thread = std::thread([&] { EXPECT_EQ(Caller().take(budget_, 10), Verdict::again); });
  ASSERT_TRUE(waiting(3));
  StallFacts const facts = budget_.facts();
  EXPECT_EQ(facts.waiting_now, 3u);
  EXPECT_EQ(facts.held, 120u);
  EXPECT_EQ(facts.used, 120u);
  EXPECT_EQ(facts.over_bytes, 20u);
  EXPECT_EQ(facts.waits, 0u);
  budget_.release(120);
  for (std::thread& thread : threads) thread.join();
  EXPECT_EQ(budget_.facts().waits, 3u);
  EXPECT_EQ(budget_.held(), 30u);
}

// In a forked child the other threads are not there: neither as waiters, nor as those who release.
TEST_F(Waiters, AChildHasNone) {
  CapacityLimits const limits = full_at(64 * kMiB, 60'000);
  budget_.configure(limits);
  ASSERT_TRUE(charge(budget_, 64 * kMiB));
  std::thread waiter([&] { EXPECT_EQ(Caller().take(budget_, kMiB), Verdict::again); });
  ASSERT_TRUE(waiting(1));
  test::free_elsewhere(budget_, kMiB);
  {
    test::Feeder const feeder(budget_, &limits);
    pid_t const child = fork();
    ASSERT_GE(child, 0);
    if (child == 0) {
      alarm(200);
      budget_.after_fork_in_child();
      bool const none = budget_.facts().waiting_now == 0 && !budget_.has_waiters();
      budget_.release(2 * kMiB);
      bool const released = budget_.held() == 62 * kMiB;
      Caller caller;
      bool const undelayed = caller.refusal(budget_, kMiB) == Refusal::none;
      _exit(none && released && undelayed ? 0 : 1 + none + 2 * released + 4 * undelayed);
    }
    int status = -1;
    ASSERT_EQ(waitpid(child, &status, 0), child);
    EXPECT_EQ(status, 0) << "exit status " << WEXITSTATUS(status);
  }
  budget_.release(kMiB);
  waiter.join();
}

}  // namespace
