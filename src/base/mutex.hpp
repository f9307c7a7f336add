// Locks that allocate nothing, are no cancellation points and survive a fork (reset()).
#pragma once

#include <atomic>
#include <cstdint>

#include "os/os.hpp"

namespace stealth {

inline void pause_briefly() {
#if defined(__x86_64__)
  __builtin_ia32_pause();
#elif defined(__aarch64__)
  asm volatile("yield");
#endif
}

// The three-state futex lock (Drepper, "Futexes are tricky", mutex 2): for what several threads want at once.
class Mutex {
 public:
  void lock() noexcept {
    std::uint32_t expected = kFree;
    if (!state_.compare_exchange_strong(expected, kHeld, std::memory_order_acquire, std::memory_order_relaxed))
      lock_slowly();
  }
  [[nodiscard]] bool try_lock() noexcept {
    std::uint32_t expected = kFree;
    return state_.compare_exchange_strong(expected, kHeld, std::memory_order_acquire, std::memory_order_relaxed);
  }
  void unlock() noexcept {
    if (state_.exchange(kFree, std::memory_order_release) == kContended) os::futex_wake(word(), 1);
  }
  // The same where the process has one thread: then nobody is in the way, and no locked instruction is needed.
  void lock_alone() noexcept { state_.store(kHeld, std::memory_order_relaxed); }
  void unlock_alone() noexcept { state_.store(kFree, std::memory_order_relaxed); }
  void reset() noexcept { state_.store(kFree, std::memory_order_relaxed); }

 private:
  static constexpr std::uint32_t kFree = 0, kHeld = 1, kContended = 2;

  void lock_slowly() noexcept {
    for (int spins = 0; spins < 64; ++spins) {
      pause_briefly();
      if (state_.load(std::memory_order_relaxed) == kFree && try_lock()) return;
    }
    while (state_.exchange(kContended, std::memory_order_acquire) != kFree) os::futex_wait(word(), kContended, kWaitNs);
  }
  [[nodiscard]] std::uint32_t const* word() const { return reinterpret_cast<std::uint32_t const*>(&state_); }

  static constexpr std::uint64_t kWaitNs = 1'000'000'000;  // a lost wake-up would cost a second, not a program
  std::atomic<std::uint32_t> state_{kFree};
};

// For what one thread owns and others touch rarely: taking it is one atomic exchange and giving it back a plain store.
// Whoever finds it held polls with short sleeps, since nobody wakes it.
class OwnerLock {
 public:
  void lock() noexcept {
    while (!try_lock_for(1'000'000'000)) {
    }
  }
  [[nodiscard]] bool try_lock() noexcept { return !held_.exchange(true, std::memory_order_acquire); }
  // False: it stayed held for so long.
  [[nodiscard]] bool try_lock_for(std::uint64_t ns) noexcept {
    return !held_.exchange(true, std::memory_order_acquire) || lock_slowly(ns);
  }
  void unlock() noexcept { held_.store(false, std::memory_order_release); }
  // Where the process has one thread, which does not hold it.
  void lock_alone() noexcept { held_.store(true, std::memory_order_relaxed); }
  [[nodiscard]] bool is_held() const noexcept { return held_.load(std::memory_order_relaxed); }
  void reset() noexcept { held_.store(false, std::memory_order_relaxed); }

 private:
  [[nodiscard]] bool lock_slowly(std::uint64_t ns) noexcept {
    std::uint64_t const until = os::monotonic_ns() + ns;
    for (int tries = 0; held_.exchange(true, std::memory_order_acquire); ++tries) {
      std::uint32_t const never = 0;
      if (tries < 64) {
        pause_briefly();
      } else if (tries < 128) {
        os::yield();
      } else if (os::monotonic_ns() < until) {
        os::futex_wait(&never, 0, 50'000);
      } else {
        return false;
      }
    }
    return true;
  }
  std::atomic<bool> held_{false};
};

template <class L>
class [[nodiscard]] Hold {
 public:
  explicit Hold(L& lock) noexcept : lock_(lock) { lock_.lock(); }
  ~Hold() { lock_.unlock(); }
  Hold(Hold const&) = delete;
  Hold& operator=(Hold const&) = delete;

 private:
  L& lock_;
};

}  // namespace stealth
