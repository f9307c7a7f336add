// Who waits for memory, in order of arrival. Knows neither why they wait nor how long.
#pragma once

#include <atomic>
#include <cstdint>

#include "base/list.hpp"
#include "base/mutex.hpp"

namespace stealth {

// One waiting call. Lives in what outlives its thread, which may end in the midst of it. The queue's lock guards all
// but the atomics.
struct Waiter : ListNode {
  // What the waiter itself can use, pages aside: blocks freed to this heap, or of this class. Only compared.
  void const* key = nullptr;
  std::uint64_t wanted = 0;   // bytes that it needs charged; 0: pages are of no use to it
  std::uint64_t granted = 0;  // charged for it by a releaser, and not taken yet
  std::uint64_t passed = 0;   // bytes granted to later ones while it could not have what it wants
  std::uint64_t since_ns = 0;
  bool queued = false;
  bool told = false;                         // of blocks; until it looks
  std::atomic<std::uint64_t> back_by_ns{0};  // when it looks into the queue again at the latest
  std::atomic<std::uint32_t> word{0};        // changes when the waiter should look again
  std::atomic<std::uint32_t> fed{
      0};  // changes when it has what it waits for: a grant, or blocks and no pages are wanted
  std::atomic<bool> listening{false};  // any event may wake it; else a grant only
};

class WaitQueue {
 public:
  // Bytes that were granted to it in a wait that it never came back to: its thread jumped out of a signal handler.
  [[nodiscard]] std::uint64_t join(Waiter& waiter, void const* key, std::uint64_t wanted, std::uint64_t now) noexcept;
  // Bytes that were granted to it and that it has not taken.
  [[nodiscard]] std::uint64_t leave(Waiter& waiter) noexcept;
  // Takes what was granted meanwhile; where that is nothing, `wanted` is what it needs from now on.
  [[nodiscard]] std::uint64_t take_grant(Waiter& waiter, std::uint64_t wanted) noexcept;

  // Whether anybody waits; seq_cst, so that whoever frees first and asks then misses nobody who joined before it
  // looked.
  [[nodiscard]] bool empty() const noexcept { return count_.load(std::memory_order_seq_cst) == 0; }
  [[nodiscard]] std::uint32_t count() const noexcept { return count_.load(std::memory_order_relaxed); }
  // Whether anybody waits for pages.
  [[nodiscard]] bool pages_wanted() const noexcept { return wanting_.load(std::memory_order_relaxed) != 0; }

  struct Handed {
    bool any = false;            // somebody got something
    std::uint64_t returned = 0;  // bytes, granted earlier to one that has not come back for them
  };
  // Grants what the first waiters want, as long as `charge` agrees. Where that is too much, far smaller requests behind
  // it go first, until they have had as much. Who has not come back from its sleep leaves the queue, and takes its
  // place again if it does come.
  template <class Charge>
  Handed hand_out(std::uint64_t now, Charge charge) noexcept {
    constexpr int kMostTried = 32;
    constexpr std::uint64_t kFarSmaller = 8;
    Hold hold(mutex_);
    Handed handed;
    Waiter* held_up = nullptr;
    std::uint64_t too_much = ~std::uint64_t{0};
    int tried = 0;
    for (Waiter *waiter = waiters_.front(), *next = nullptr; waiter != nullptr && tried < kMostTried; waiter = next) {
      next = List<Waiter>::next(waiter);
      if (now > waiter->back_by_ns.load(std::memory_order_relaxed) + kLateNs) {
        handed.returned += take_out(*waiter);
        continue;
      }
      if (waiter->wanted == 0) continue;
      if (held_up != nullptr) ++tried;
      if (waiter->wanted >= too_much) continue;
      if (!charge(waiter->wanted)) {
        too_much = held_up == nullptr ? waiter->wanted / kFarSmaller + 1 : waiter->wanted;
        if (held_up == nullptr) held_up = waiter;
      } else {
        if (held_up != nullptr) held_up->passed += waiter->wanted;
        waiter->granted = waiter->wanted;
        waiter->wanted = waiter->passed = 0;
        wanting_.fetch_sub(1, std::memory_order_relaxed);
        wake(*waiter, Why::grant);
        handed.any = true;
      }
      if (held_up != nullptr && held_up->passed >= held_up->wanted) break;
    }
    return handed;
  }
  // Wakes one who can use what became free under this key, and has not been woken for something else; false: there are
  // none who could.
  bool wake_key(void const* key) noexcept;
  // Wakes the first one who waits for pages: there may be some to be had by looking.
  void wake_first() noexcept;
  void wake_all() noexcept;
  void after_fork_in_child() noexcept;

 private:
  static constexpr std::uint64_t kLateNs = 100'000'000;  // a busy machine lets threads sleep too long

  void put_in(Waiter& waiter) noexcept;
  [[nodiscard]] std::uint64_t take_out(Waiter& waiter) noexcept;
  enum class Why : std::uint8_t { grant, blocks, look, change };
  static void wake(Waiter& waiter, Why why) noexcept;

  std::atomic<std::uint32_t> count_{0};
  std::atomic<std::uint32_t> wanting_{0};
  Mutex mutex_;  // a leaf: nothing else is locked under it
  List<Waiter> waiters_;
};

}  // namespace stealth
