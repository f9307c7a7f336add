// What the unit tests of all rooms share: how much work a test does, random numbers that can be had again, and threads
// that begin together.
#pragma once

#include <gtest/gtest.h>

#include <barrier>
#include <chrono>
#include <cstdint>
#include <cstdlib>
#include <thread>
#include <vector>

#if defined(__SANITIZE_ADDRESS__)
#define STEALTH_ASAN 1
#elif defined(__SANITIZE_THREAD__)
#define STEALTH_TSAN 1
#elif defined(__has_feature)
#if __has_feature(address_sanitizer)
#define STEALTH_ASAN 1
#elif __has_feature(thread_sanitizer)
#define STEALTH_TSAN 1
#endif
#endif
#ifndef STEALTH_ASAN
#define STEALTH_ASAN 0
#endif
#ifndef STEALTH_TSAN
#define STEALTH_TSAN 0
#endif

namespace stealth::test {

inline constexpr bool kTsan = STEALTH_TSAN != 0;
inline constexpr bool kSanitized = STEALTH_ASAN != 0 || kTsan;

// So many rounds, fewer under a sanitizer, STEALTH_TEST_SCALE (a factor) times as many: for long runs by hand.
inline int rounds(int plain) {
  char const* const text = std::getenv("STEALTH_TEST_SCALE");
  double const scale = (text == nullptr ? 1.0 : std::atof(text)) * (kSanitized ? 0.1 : 1.0);
  int const wanted = static_cast<int>(plain * scale);
  return wanted < 1 ? 1 : wanted;
}

// xorshift64*. Fixed seeds, so that a failure comes again; STEALTH_TEST_SEED changes them all.
class Random {
 public:
  explicit Random(std::uint64_t seed) : state_(seed * 0x9E3779B97F4A7C15u + 1) {
    if (char const* const text = std::getenv("STEALTH_TEST_SEED")) state_ += std::strtoull(text, nullptr, 0) * 2;
  }
  std::uint64_t next() {
    state_ ^= state_ >> 12;
    state_ ^= state_ << 25;
    state_ ^= state_ >> 27;
    return state_ * 0x2545F4914F6CDD1Du;
  }
  // 0 … n - 1
  std::size_t below(std::size_t n) { return static_cast<std::size_t>((next() >> 16) % n); }
  bool one_in(std::size_t n) { return below(n) == 0; }
  // 1 … most, small ones far more often
  std::size_t skewed(std::size_t most) {
    std::size_t const bits = 64 - static_cast<std::size_t>(__builtin_clzll(most));
    std::size_t const value = 1 + below(std::size_t{1} << (1 + below(bits)));
    return value > most ? most : value;
  }

 private:
  std::uint64_t state_;
};

// Runs body(index) in so many threads, all of which are there before any begins. They end together, too: a thread that
// takes over the heap of one that ended without having been joined is ordered after it by the kernel's mark, of which
// TSan knows nothing.
template <class Body>
void in_threads(int count, Body body) {
  std::barrier gate(count);
  std::vector<std::thread> threads;
  for (int i = 0; i < count; ++i) {
    threads.emplace_back([&gate, &body, i] {
      gate.arrive_and_wait();
      body(i);
      gate.arrive_and_wait();
    });
  }
  for (std::thread& thread : threads) thread.join();
}

// What must come sometime is waited for so long. No bound on a time is closer: a busy machine may be late by seconds.
inline constexpr std::uint64_t kLateMs = 60'000;

// Polls until it holds; false after a minute.
template <class Condition>
bool soon(Condition condition) {
  auto const end = std::chrono::steady_clock::now() + std::chrono::milliseconds(kLateMs);
  while (!condition()) {
    if (std::chrono::steady_clock::now() > end) return false;
    std::this_thread::sleep_for(std::chrono::microseconds(200));
  }
  return true;
}

inline std::uint64_t ms_since(std::chrono::steady_clock::time_point begin) {
  return static_cast<std::uint64_t>(
      std::chrono::duration_cast<std::chrono::milliseconds>(std::chrono::steady_clock::now() - begin).count());
}

}  // namespace stealth::test
