// What the room's tests share: limits, callers that ask for memory as the engine does, and somebody who feeds them.
#pragma once

#include <gtest/gtest.h>

#include <atomic>
#include <barrier>
#include <string>
#include <thread>

#include "capacity/wait.hpp"
#include "fake_sys.hpp"
#include "support.hpp"

namespace stealth::test {

inline constexpr std::uint64_t kMs = 1'000'000;
inline constexpr std::uint64_t kSecond = 1'000'000'000;

inline CapacityLimits capacity(std::uint64_t bytes) {
  CapacityLimits limits;
  limits.capacity = bytes;
  return limits;
}

// Waits that only patience ends, in sleeps of at most 10 ms; never a spent budget.
inline CapacityLimits full_at(std::uint64_t bytes, std::uint64_t patience_ms,
                              OnExhausted policy = OnExhausted::enomem) {
  CapacityLimits limits = capacity(bytes);
  limits.backoff = {10 * kMs, patience_ms * kMs, 60'000 * kMs, 1000, 0};
  limits.on_exhausted = policy;
  return limits;
}

inline bool always() noexcept { return true; }
inline bool never() noexcept { return false; }

// A charge without a thread: nobody delays it.
[[nodiscard]] inline bool charge(Budget& budget, std::size_t bytes, Level level = Level::within) {
  Charge charge{.level = level};
  return budget.try_charge(bytes, charge);
}

// A thread that allocates, as the engine's do: it tries, waits, tries again, and follows the policy.
struct Caller {
  ThreadAccount account{};
  int steps = 0;  // of the last call

  // granted: over the capacity; refused: not charged; again: charged as any other.
  Verdict take(Budget& budget, std::size_t bytes, Place place = {}, bool (*may_wait)() noexcept = always) {
    Charge charge{.level = Level::within, .account = &account};
    Wait wait(budget, charge, place, may_wait);
    Verdict last = Verdict::again;
    for (steps = 0; !budget.try_charge(bytes, charge); wait.claim()) {
      ++steps;
      last = wait.step(true);
      if (last != Verdict::exhausted) continue;
      last = wait.decide();
      if (last == Verdict::refused) break;
      charge.level = Level::over;
    }
    return last;
  }

  // One try.
  [[nodiscard]] bool charge(Budget& budget, std::size_t bytes, Level level = Level::within) {
    Charge charge{.level = level, .account = &account};
    return budget.try_charge(bytes, charge);
  }
  [[nodiscard]] Refusal refusal(Budget& budget, std::size_t bytes) {
    Charge charge{.level = Level::within, .account = &account};
    if (!budget.try_charge(bytes, charge)) return charge.refusal;
    budget.release(bytes);
    return Refusal::none;
  }
};

// As if another thread had freed so much, of which nobody gets anything.
inline void free_elsewhere(Budget& budget, std::size_t bytes) {
  std::thread([&] {
    ThreadAccount account{};
    budget.freed(bytes, nullptr, &account);
  }).join();
}

// Says every millisecond that something was freed, until it ends.
class Feeder {
 public:
  explicit Feeder(Budget& budget, void const* key = nullptr, std::size_t bytes = kMiB, std::uint64_t every_us = 1000)
      : thread_([this, &budget, key, bytes, every_us] {
          ThreadAccount account{};
          while (!done_) {
            budget.freed(bytes, key, &account);
            std::this_thread::sleep_for(std::chrono::microseconds(every_us));
          }
        }) {}
  ~Feeder() {
    done_ = true;
    thread_.join();
  }
  Feeder(Feeder const&) = delete;
  Feeder& operator=(Feeder const&) = delete;

 private:
  std::atomic<bool> done_{false};
  std::thread thread_;
};

// A budget, and the lines that are said.
class Waiting : public testing::Test {
 protected:
  void SetUp() override {
    fake::capture(2);
    std::thread([] {}).join();  // the process is no longer single-threaded, as libc counts
  }
  static std::string said() {
    std::string all;
    for (std::string const& line : fake::captured()) all += line;
    return all;
  }
  static std::size_t times_said(std::string const& what) {
    std::string const all = said();
    std::size_t count = 0;
    for (std::size_t at = all.find(what); at != std::string::npos; at = all.find(what, at + 1)) ++count;
    return count;
  }
  [[nodiscard]] bool waiting(std::uint64_t threads) {
    return soon([&] { return budget_.facts().waiting_now == threads; });
  }

  fake::Fresh fresh_;
  Budget budget_;
};

}  // namespace stealth::test
