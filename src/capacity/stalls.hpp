// Stalls are facts: what was waited, by whom, how often, and what the policy did. Readable while every thread waits.
#pragma once

#include <atomic>
#include <cstdint>

namespace stealth {

// Calls by the time that they waited: [i] those below 2^i microseconds and not below half of it, the last one all
// others.
inline constexpr std::uint32_t kStallBuckets = 26;
// What a call waited for: 0 for pages of a large block, else what the engine numbers so.
inline constexpr std::uint32_t kStallKinds = 96;

// Every figure only grows, but for held, used and waiting_now.
struct StallFacts {
  std::uint64_t held, peak_held;
  std::uint64_t used;  // what is compared with the capacity: the group's or the cgroup's figure, or what is resident
  std::uint64_t over_bytes;  // above the capacity now
  std::uint64_t waiting_now, waits, waited_ns, longest_ns, longest_sleep_ns;
  std::uint64_t grants, refusals;
  std::uint64_t observed_ns;  // what would have been waited; STEALTH_MODE=observe
  std::uint64_t histogram[kStallBuckets];
};
struct StallsOfKind {
  std::uint64_t waits, waited_ns, grants;
};

// A thread that waits now. `thread` 0: nobody.
struct WaitingThread {
  std::uint64_t thread;
  std::uint64_t since_ns;
  std::uint64_t bytes;  // wanted; 0: a block of a class at its max
  std::uint32_t kind;
};

// Told of each call that has waited, at its end, by its own thread, which holds no lock. Null: nobody is.
using StallWitness = void(std::uint64_t ns) noexcept;
extern constinit std::atomic<StallWitness*> g_stall_witness;

inline void raise_to(std::atomic<std::uint64_t>& record, std::uint64_t value) noexcept {
  std::uint64_t seen = record.load(std::memory_order_relaxed);
  while (value > seen && !record.compare_exchange_weak(seen, value, std::memory_order_relaxed)) {
  }
}

// Counts them. Any thread, no lock.
class Stalls {
 public:
  // A call begins to wait, or ends to; its row. Threads that find all rows taken are counted, not shown.
  static constexpr std::uint32_t kRows = 64, kNoRow = ~std::uint32_t{0};
  [[nodiscard]] std::uint32_t waiting(std::uint32_t kind, std::uint64_t bytes, std::uint64_t since_ns) noexcept;
  void ends_to_wait(std::uint32_t row) noexcept;
  void waited(std::uint32_t kind, std::uint64_t ns) noexcept;
  void slept(std::uint64_t ns) noexcept { raise_to(longest_sleep_ns_, ns); }
  void granted(std::uint32_t kind) noexcept {
    grants_.fetch_add(1, std::memory_order_relaxed);
    by_kind_[kind].grants.fetch_add(1, std::memory_order_relaxed);
  }
  void refused() noexcept { refusals_.fetch_add(1, std::memory_order_relaxed); }
  void observed(std::uint64_t ns) noexcept { observed_ns_.fetch_add(ns, std::memory_order_relaxed); }
  void read(StallFacts& into) const noexcept;
  [[nodiscard]] StallsOfKind of_kind(std::uint32_t kind) const noexcept;
  // A row as it is now. One of a thread that jumped out of its wait stays until that thread waits again.
  [[nodiscard]] WaitingThread row(std::uint32_t i) const noexcept;
  void after_fork_in_child() noexcept;

 private:
  struct Row {
    std::atomic<std::uint32_t> thread{0}, kind{0};
    std::atomic<std::uint64_t> since_ns{0}, bytes{0};
  };
  struct Kind {
    std::atomic<std::uint64_t> waits{0}, waited_ns{0}, grants{0};
  };
  std::atomic<std::uint64_t> waits_{0}, waited_ns_{0}, longest_ns_{0}, longest_sleep_ns_{0};
  std::atomic<std::uint64_t> grants_{0}, refusals_{0}, observed_ns_{0};
  std::atomic<std::uint64_t> histogram_[kStallBuckets]{};
  Kind by_kind_[kStallKinds]{};
  Row rows_[kRows]{};
};

}  // namespace stealth
