// Who waits for memory, in order of arrival. Knows neither why they wait nor how long.
#pragma once

#include <atomic>
#include <cstdint>

#include "base/list.hpp"
#include "base/mutex.hpp"

namespace stealth {

// One waiting call. Lives in what outlives its thread, which may end in the midst of it. The queue's lock guards all
// but the word.
struct Waiter : ListNode {
  // What the waiter itself can use, pages aside: blocks freed to this heap, or of this class. Only compared.
  void const* key = nullptr;
  std::uint64_t wanted = 0;   // bytes that it needs charged; 0: pages are of no use to it
  std::uint64_t granted = 0;  // charged for it by a releaser; it is queued no more
  std::uint64_t since_ns = 0;
  bool queued = false;
  std::atomic<std::uint32_t> word{0};  // changes when the waiter should look again
  std::atomic<std::uint32_t> fed{0};   // changes when there is something for it: a grant, or blocks that it can use
  std::atomic<bool> listening{false};  // any event may wake it; else a grant only
};

class WaitQueue {
 public:
  // One that is queued yet (its thread jumped out of a signal handler) begins anew.
  void join(Waiter& waiter, void const* key, std::uint64_t wanted, std::uint64_t now) noexcept;
  // Bytes that were granted to it and that it has not taken.
  [[nodiscard]] std::uint64_t leave(Waiter& waiter) noexcept;
  // Takes what was granted meanwhile; where that is nothing, `wanted` is what it needs from now on.
  [[nodiscard]] std::uint64_t take_grant(Waiter& waiter, std::uint64_t wanted) noexcept;

  // Whether anybody waits; seq_cst, so that whoever frees first and asks then misses nobody who joined before it
  // looked.
  [[nodiscard]] bool empty() const noexcept { return count_.load(std::memory_order_seq_cst) == 0; }
  // Whether anybody waits for pages.
  [[nodiscard]] bool pages_wanted() const noexcept { return wanting_.load(std::memory_order_relaxed) != 0; }

  // Grants what the first waiters want, as long as `charge` agrees; true if anybody got anything.
  template <class Charge>
  bool hand_out(Charge charge) noexcept {
    Hold hold(mutex_);
    bool any = false;
    for (Waiter* waiter = first_wanting(); waiter != nullptr && charge(waiter->wanted); waiter = first_wanting()) {
      waiter->granted = waiter->wanted;
      waiter->wanted = 0;
      wanting_.fetch_sub(1, std::memory_order_relaxed);
      wake(*waiter, Why::grant);
      any = true;
    }
    return any;
  }
  // Wakes those who can use what became free under this key; false: there are none.
  bool wake_key(void const* key) noexcept;
  // Wakes the first one who waits for pages: there may be some to be had by looking.
  void wake_first() noexcept;
  void wake_all() noexcept;
  void after_fork_in_child() noexcept;

 private:
  [[nodiscard]] Waiter* first_wanting() const noexcept;
  enum class Why : std::uint8_t { grant, blocks, look, change };
  static void wake(Waiter& waiter, Why why) noexcept;

  std::atomic<std::uint32_t> count_{0};
  std::atomic<std::uint32_t> wanting_{0};
  Mutex mutex_;  // a leaf: nothing else is locked under it
  List<Waiter> waiters_;
};

}  // namespace stealth
