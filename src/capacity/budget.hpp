// The bytes that a process holds, held at a capacity: the one place that charges, releases and waits.
//
// Charged is what is touched: slabs as they are carved, spans as they are handed out, page by page, until the pages go
// back to the kernel. The hot path of malloc and free never comes here.
#pragma once

#include <atomic>
#include <cstddef>
#include <cstdint>

#include "capacity/backoff.hpp"

namespace stealth {

enum class OnExhausted : std::uint8_t { grant, enomem, abort };

struct CapacityLimits {
  std::uint64_t capacity = kNoCapacity;
  BackoffLimits backoff;
  OnExhausted on_exhausted = OnExhausted::grant;
  bool delays = true;  // false: count, but delay and refuse nothing

  static constexpr std::uint64_t kNoCapacity = ~std::uint64_t{0};
};

// What happened so far; every figure only grows, but for held and waiting_now.
struct StallFacts {
  std::uint64_t held, peak_held;
  std::uint64_t waiting_now, waits, waited_ns, longest_ns;
  std::uint64_t grants, refusals;
};

// How far a charge may go.
enum class Charge : std::uint8_t {
  calm,    // not beyond the point where idle memory should be collected first
  within,  // up to the capacity
  over,    // whether or not it fits: the policy said so
};

class Budget {
 public:
  constexpr Budget() = default;
  // Before other threads are there, or with nobody waiting.
  void configure(CapacityLimits const& limits) noexcept { limits_ = limits; }
  [[nodiscard]] CapacityLimits const& limits() const noexcept { return limits_; }

  // Charges and returns true, or changes nothing and returns false: beyond what `how` allows.
  [[nodiscard]] bool try_charge(std::size_t bytes, Charge how) noexcept;
  // After idle memory was collected: the next growth beyond what is held now is calm again up to a share of it.
  void raise_calm_limit() noexcept;
  void release(std::size_t bytes) noexcept;
  // Something became free that a waiter can use though no page was given back: a remote free to its blocks.
  void announce_free() noexcept {
    if (waiting_.load(std::memory_order_seq_cst) != 0) wake_waiters();
    if (patience_ns_.load(std::memory_order_relaxed) != kFirstPatience) restore_patience();
  }
  [[nodiscard]] std::uint64_t held() const noexcept { return held_.load(std::memory_order_relaxed); }
  [[nodiscard]] bool has_waiters() const noexcept { return waiting_.load(std::memory_order_relaxed) != 0; }
  [[nodiscard]] StallFacts facts() const noexcept;
  void count_refusal() noexcept { refusals_.fetch_add(1, std::memory_order_relaxed); }
  void count_grant() noexcept { grants_.fetch_add(1, std::memory_order_relaxed); }
  // In a forked child: the waiters are not there.
  void after_fork_in_child() noexcept { waiting_.store(0, std::memory_order_relaxed); }

  enum class Verdict : std::uint8_t {
    again,    // try once more: something may have been released
    granted,  // waited enough: take it, over the capacity if need be
    refused,  // waited enough: out of memory
  };

  // One call's waiting, step by step, so that the caller can look for free memory of its own in between. The caller
  // holds no lock in step().
  class Wait {
   public:
    explicit Wait(Budget& budget) noexcept : budget_(budget) {}
    ~Wait();
    Wait(Wait const&) = delete;
    Wait& operator=(Wait const&) = delete;
    // Waits once, at most BackoffLimits::max_wait_ns (the first step only announces the waiter, so that no release is
    // missed). `what` is said in reports: "capacity", or the class that is full.
    [[nodiscard]] Verdict step(char const* what) noexcept;
    [[nodiscard]] bool begun() const noexcept { return begun_; }

   private:
    [[nodiscard]] Verdict exhausted(char const* what, std::uint64_t now) noexcept;

    Budget& budget_;
    bool begun_ = false;
    std::uint32_t seen_ = 0;       // releases_ before the caller's last try
    std::uint32_t fruitless_ = 0;  // waits in a row during which nothing was released
    std::uint64_t began_ns_ = 0;
    std::uint64_t last_release_ns_ = 0;
    BackoffLimits limits_;
  };

 private:
  void wake_waiters() noexcept;
  void restore_patience() noexcept;

  // held_ == kPage x the sum of the arena's charged pages (Arena::is_valid asserts it)
  alignas(64) std::atomic<std::uint64_t> held_{0};
  std::atomic<std::uint64_t> peak_{0};
  std::atomic<std::uint64_t> calm_limit_{0};  // beyond it, idle memory is collected before fresh memory is taken
  std::atomic<std::uint32_t> waiting_{0};
  std::atomic<std::uint32_t> releases_{0};  // the word that waiters sleep on; moves only while somebody waits
  alignas(64) CapacityLimits limits_;
  // Where going over is the worst that can follow, the first waits are short: the waiter may hold a lock that the
  // thread needs which would free something (a queue that grows under its own mutex). Each fruitless wait doubles the
  // patience of the next, up to limits_.backoff.patience_ns, and from the second on as long a time without waits
  // follows; a release ends both.
  static constexpr std::uint64_t kFirstPatience = 4'000'000;
  std::atomic<std::uint64_t> patience_ns_{kFirstPatience};
  std::atomic<std::uint64_t> no_wait_before_{0};
  std::atomic<std::uint64_t> waits_{0}, waited_ns_{0}, longest_ns_{0}, grants_{0}, refusals_{0};
  std::atomic<bool> first_wait_reported_{false}, exhaustion_reported_{false};
};

extern constinit Budget g_budget;

}  // namespace stealth
