// What is being released, by whom and how fast, and how much may be taken for it: the memory of the law (backoff.hpp).
// Written only while the process is above its soft point.
#pragma once

#include <atomic>
#include <cstdint>

#include "base/mutex.hpp"

namespace stealth {

// Tells living threads apart. Only compared, never looked into.
using ThreadTag = void const*;
[[nodiscard]] ThreadTag this_thread() noexcept;

class Flow {
 public:
  // `pages`: bytes that are no longer charged; `reusable`: bytes that have become free for others, charged or not.
  void note(std::uint64_t pages, std::uint64_t reusable, std::uint64_t now) noexcept;

  // How often something was noted: whoever sleeps sees by it whether the sleep was fruitless.
  [[nodiscard]] std::uint32_t releases() const noexcept { return releases_.load(std::memory_order_seq_cst); }
  // Whether another thread has released anything within the last second.
  [[nodiscard]] bool feeds(ThreadTag who, std::uint64_t now) const noexcept;
  [[nodiscard]] std::uint64_t silence(std::uint64_t now) const noexcept;   // ns since the last release
  [[nodiscard]] std::uint64_t interval() const noexcept { return interval_.load(std::memory_order_relaxed); }

  // Bytes per second, averaged over kLawWindowNs.
  struct Rates {
    std::uint64_t pages, reusable;
  };
  [[nodiscard]] Rates rates(std::uint64_t now) noexcept;

  // Takes `bytes` out of a bucket that fills at `rate`; returns what it is short of (bytes, at most what `rate` fills
  // within `horizon_ns`).
  [[nodiscard]] std::uint64_t book(std::uint64_t bytes, std::uint64_t rate, std::uint64_t horizon_ns,
                                   std::uint64_t now) noexcept;
  void refund(std::uint64_t bytes) noexcept;

  // Threads that ask for memory above the soft point, within the last kLawWindowNs. `seen` is the caller's own.
  [[nodiscard]] std::uint32_t count_asker(std::uint64_t& seen, std::uint64_t now) noexcept;

  void after_fork_in_child() noexcept { mutex_.reset(); }

 private:
  struct Average {
    std::atomic<std::uint64_t> total{0};
    std::uint64_t seen = 0, per_s = 0;
    void update(std::uint64_t ns) noexcept;
  };

  alignas(64) std::atomic<std::uint32_t> releases_{0};
  std::atomic<ThreadTag> last_by_{nullptr};
  std::atomic<std::uint64_t> last_ns_{0};        // by last_by_
  std::atomic<std::uint64_t> last_other_ns_{0};  // by anybody else
  std::atomic<std::uint64_t> interval_{0};
  Average pages_, reusable_;

  Mutex mutex_;  // guards what follows, and the averages
  std::uint64_t averaged_ns_ = 0;
  std::int64_t tokens_ = 0;
  std::uint64_t tokens_ns_ = 0;
  std::uint64_t askers_ns_ = 0;
  std::uint32_t askers_ = 1, askers_before_ = 1;
};

}  // namespace stealth
