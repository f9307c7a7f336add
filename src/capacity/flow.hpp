// What is being released, by whom and how fast, and how much may be taken for it: the memory of the law (backoff.hpp).
// Written only while the process is above its soft point.
#pragma once

#include <atomic>
#include <cstdint>

#include "base/mutex.hpp"
#include "capacity/backoff.hpp"

namespace stealth {

// Tells living threads apart. Only compared, never looked into.
using ThreadTag = void const*;
[[nodiscard]] ThreadTag this_thread() noexcept;

class Flow {
 public:
  // So many bytes of pages have become free for anybody; below 0: were taken again without a charge, being charged yet.
  void note_pages(std::int64_t bytes) noexcept {
    pages_.total.fetch_add(static_cast<std::uint64_t>(bytes), std::memory_order_relaxed);
  }
  // This thread has freed so many bytes, charged or not, that others can use. 0: of its own blocks, which it may take
  // again.
  void note_freed(std::uint64_t bytes, std::uint64_t now) noexcept;

  // How often something was freed: whoever sleeps sees by it whether the sleep was fruitless.
  [[nodiscard]] std::uint32_t releases() const noexcept { return releases_.load(std::memory_order_seq_cst); }
  // Whether another thread has released anything within the last second.
  [[nodiscard]] bool feeds(ThreadTag who, std::uint64_t now) const noexcept;
  // Whether this thread has, and nobody else.
  [[nodiscard]] bool only_by(ThreadTag who, std::uint64_t now) const noexcept;

  // Averaged over kLawWindowNs, or since they were first asked for.
  struct Rates {
    ReleaseRate pages, reusable;
    bool known;  // false: it has only just begun
    // What can become free for somebody, in either way.
    [[nodiscard]] ReleaseRate any() const noexcept {
      return {max(pages.now, reusable.now), max(pages.most, reusable.most)};
    }
  };
  [[nodiscard]] Rates rates(std::uint64_t now) noexcept;

  // The debt is what was taken beyond the rate at which it is paid off all the time. From a quantum on it is slept for.
  struct Terms {
    std::uint64_t rate;     // bytes per second
    std::uint64_t quantum;  // bytes
  };
  // Adds to the debt. Once it comes to a quantum the caller takes it over, to sleep for it: returns it then, else 0.
  [[nodiscard]] std::uint64_t book(std::uint64_t bytes, Terms const& terms, std::uint64_t now) noexcept;
  // Adds to it, and leaves it to those who book later: no more than the law's window pays off.
  void book_for_others(std::uint64_t bytes, Terms const& terms, std::uint64_t now) noexcept;
  // Those who sleep for a debt do so one after the other: how long until the caller has slept for its own, too.
  [[nodiscard]] std::uint64_t queue_up(std::uint64_t own_ns, std::uint64_t most_ns, std::uint64_t now) noexcept;

  // Threads that ask for memory above the soft point, within the last kLawWindowNs. `seen` is the caller's own.
  [[nodiscard]] std::uint32_t count_asker(std::uint64_t& seen, std::uint64_t now) noexcept;

  // Nobody else is there who could release anything, and no debt is anybody's.
  void after_fork_in_child() noexcept;

 private:
  struct Average {
    std::atomic<std::uint64_t> total{0};
    std::uint64_t seen = 0;
    ReleaseRate per_s{};  // `most` is forgotten within some seconds
    void begin() noexcept;
    // The last `ns` of the `span` that it is the average of.
    void update(std::uint64_t ns, std::uint64_t span) noexcept;
  };

  alignas(64) std::atomic<std::uint32_t> releases_{0};
  std::atomic<ThreadTag> last_by_{nullptr};
  std::atomic<std::uint64_t> last_ns_{0};        // by last_by_
  std::atomic<std::uint64_t> last_other_ns_{0};  // by anybody else
  Average pages_, reusable_;

  void add_debt(std::uint64_t bytes, Terms const& terms, std::uint64_t now) noexcept;

  Mutex mutex_;  // guards what follows, and the averages
  std::uint64_t averaged_ns_ = 0, averaged_since_ns_ = 0;
  std::int64_t debt_ = 0;  // bytes; below 0 while the rate is not made use of
  std::uint64_t debt_ns_ = 0;
  std::uint64_t slept_for_until_ns_ = 0;
  std::uint64_t askers_ns_ = 0;
  std::uint32_t askers_ = 1, askers_before_ = 1;
};

}  // namespace stealth
