// How the budget tells that memory is short, to one listener outside of malloc (pool/subscribers.hpp). Raising a level
// costs a load while nobody listens; it may happen with locks of the engine held, so it neither locks nor allocates.
#pragma once

#include <atomic>
#include <cstdint>

#include "os/os.hpp"

namespace stealth {

enum class PressureLevel : std::uint8_t {
  soft,       // the soft point is passed, for the first time since it was calm
  capacity,   // a call begins to wait at the capacity
  exhausted,  // a call has waited in vain, and the policy decides
};
inline constexpr std::uint32_t kPressureLevels = 3;

// Several levels: bit i is the level of number i.
using PressureLevels = std::uint32_t;
[[nodiscard]] constexpr PressureLevels only(PressureLevel level) { return 1u << static_cast<std::uint32_t>(level); }
inline constexpr PressureLevels kAllPressureLevels = (1u << kPressureLevels) - 1;

class PressureSignal {
 public:
  // --- the budget's side: any thread, at any time ---
  void raise(PressureLevel level) noexcept {
    if (listening_.load(std::memory_order_relaxed)) [[unlikely]]
      raise_heard(level);
  }
  // Usage has fallen well below the soft point: passing it again is news.
  void calm() noexcept { soft_is_known_.store(false, std::memory_order_relaxed); }

  // --- the listener's side ---
  // What was raised before is forgotten. Who begins to listen while the soft point is passed should say calm() first.
  void listen(bool on) noexcept {
    raised_.store(0, std::memory_order_relaxed);
    listening_.store(on, std::memory_order_relaxed);
  }
  // A look at events(), then at take() and whatever nudge() was for, then wait_beyond() the first: nothing is missed.
  [[nodiscard]] std::uint32_t events() const noexcept { return events_.load(std::memory_order_seq_cst); }
  // Those of `levels` that were raised since they were taken last.
  [[nodiscard]] PressureLevels take(PressureLevels levels) noexcept {
    return raised_.fetch_and(~levels, std::memory_order_seq_cst) & levels;
  }
  [[nodiscard]] PressureLevels raised() const noexcept { return raised_.load(std::memory_order_seq_cst); }
  // Sleeps until there are more events, at most so long; may return early.
  void wait_beyond(std::uint32_t events, std::uint64_t most_ns) const noexcept {
    os::futex_wait(word(), events, most_ns);
  }
  // Wakes the listener though nothing was raised.
  void nudge() noexcept {
    events_.fetch_add(1, std::memory_order_seq_cst);
    os::futex_wake(word(), INT32_MAX);
  }

 private:
  void raise_heard(PressureLevel level) noexcept {
    if (level == PressureLevel::soft) {
      if (soft_is_known_.load(std::memory_order_relaxed)) return;
      soft_is_known_.store(true, std::memory_order_relaxed);
    }
    if ((raised_.load(std::memory_order_relaxed) & only(level)) != 0) return;  // the listener has yet to take it
    if ((raised_.fetch_or(only(level), std::memory_order_seq_cst) & only(level)) == 0) nudge();
  }
  [[nodiscard]] std::uint32_t const* word() const noexcept { return reinterpret_cast<std::uint32_t const*>(&events_); }

  std::atomic<bool> listening_{false};
  std::atomic<bool> soft_is_known_{false};
  std::atomic<PressureLevels> raised_{0};
  std::atomic<std::uint32_t> events_{0};
};

}  // namespace stealth
