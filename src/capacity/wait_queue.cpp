// See wait_queue.hpp.
#include "capacity/wait_queue.hpp"

#include <utility>

#include "os/os.hpp"

namespace stealth {

std::uint64_t WaitQueue::join(Waiter& waiter, void const* key, std::uint64_t wanted, std::uint64_t now) noexcept {
  Hold hold(mutex_);
  std::uint64_t const left_behind = waiter.queued ? take_out(waiter) : 0;
  waiter.key = key;
  waiter.wanted = wanted;
  waiter.granted = waiter.passed = 0;
  waiter.told = false;
  waiter.since_ns = now;
  waiter.back_by_ns.store(now, std::memory_order_relaxed);
  put_in(waiter);
  return left_behind;
}

std::uint64_t WaitQueue::leave(Waiter& waiter) noexcept {
  Hold hold(mutex_);
  return waiter.queued ? take_out(waiter) : 0;
}

std::uint64_t WaitQueue::take_grant(Waiter& waiter, std::uint64_t wanted) noexcept {
  Hold hold(mutex_);
  if (!waiter.queued) put_in(waiter);
  waiter.told = false;
  std::uint64_t const granted = std::exchange(waiter.granted, 0);
  if (granted != 0 || waiter.wanted == wanted) return granted;
  if (waiter.wanted == 0) wanting_.fetch_add(1, std::memory_order_relaxed);
  if (wanted == 0) wanting_.fetch_sub(1, std::memory_order_relaxed);
  waiter.wanted = wanted;
  return 0;
}

// By arrival: before those who came later.
void WaitQueue::put_in(Waiter& waiter) noexcept {
  Waiter* before = waiters_.back();
  while (before != nullptr && before->since_ns > waiter.since_ns) before = List<Waiter>::previous(before);
  if (before == nullptr) {
    waiters_.push_front(&waiter);
  } else {
    waiters_.insert_after(before, &waiter);
  }
  waiter.queued = true;
  if (waiter.wanted != 0) wanting_.fetch_add(1, std::memory_order_relaxed);
  count_.fetch_add(1, std::memory_order_seq_cst);
}

std::uint64_t WaitQueue::take_out(Waiter& waiter) noexcept {
  waiters_.remove(&waiter);
  waiter.queued = false;
  if (waiter.wanted != 0) wanting_.fetch_sub(1, std::memory_order_relaxed);
  count_.fetch_sub(1, std::memory_order_seq_cst);
  return std::exchange(waiter.granted, 0);
}

bool WaitQueue::wake_key(void const* key) noexcept {
  Hold hold(mutex_);
  bool found = false;
  for (Waiter* waiter = waiters_.front(); waiter != nullptr; waiter = List<Waiter>::next(waiter)) {
    if (waiter->key != key) continue;
    found = true;
    if (std::exchange(waiter->told, true)) continue;
    wake(*waiter, Why::blocks);
    break;
  }
  return found;
}

void WaitQueue::wake_first() noexcept {
  Hold hold(mutex_);
  Waiter* waiter = waiters_.front();
  while (waiter != nullptr && waiter->wanted == 0) waiter = List<Waiter>::next(waiter);
  if (waiter != nullptr) wake(*waiter, Why::look);
}

void WaitQueue::wake_all() noexcept {
  Hold hold(mutex_);
  for (Waiter* waiter = waiters_.front(); waiter != nullptr; waiter = List<Waiter>::next(waiter))
    wake(*waiter, Why::change);
}

void WaitQueue::after_fork_in_child() noexcept {
  mutex_.reset();
  waiters_ = {};
  count_.store(0, std::memory_order_relaxed);
  wanting_.store(0, std::memory_order_relaxed);
}

void WaitQueue::wake(Waiter& waiter, Why why) noexcept {
  if (why == Why::grant || (why == Why::blocks && waiter.wanted == 0))
    waiter.fed.fetch_add(1, std::memory_order_relaxed);
  waiter.word.fetch_add(1, std::memory_order_seq_cst);
  if (why == Why::grant || why == Why::change || waiter.listening.load(std::memory_order_seq_cst))
    os::futex_wake(reinterpret_cast<std::uint32_t const*>(&waiter.word), 1);
}

}  // namespace stealth
