// The ways of a get and a put where nothing is special: an idle buffer is there, small, and nobody waits or traces.
// What is special goes the slow way (buffer_pool.cpp), which alone asks why; what both do to the sum and the lists
// stands here.
#pragma once

#include "os/os.hpp"
#include "pool/buffer_pool.hpp"

namespace stealth {

// What a buffer may take in advance: as much as it has, within these.
inline constexpr std::uint64_t kLeastCredit = 256, kMostCredit = 16 * kKiB;

// Of a buffer whose lock is held: what it has not used of its limit is not counted any more.
inline void BufferPoolCore::settle(BufferCore& buffer) noexcept {
  if (!buffer.has_credit_) return;
  std::uint64_t const size = buffer.size_.load(std::memory_order_relaxed);
  sum_ -= buffer.limit_ - size;
  buffer.limit_ = size;
  buffer.has_credit_ = false;
  creditors_.remove(&buffer);
}

// Of a buffer that is, or will be, so large, and is counted for that; nobody else can write to it.
inline void BufferPoolCore::give_credit(BufferCore& buffer, std::uint64_t size) noexcept {
  std::uint64_t credit = min(min(max(size, kLeastCredit), kMostCredit), buffer.ready_ - size);
  if (write_backoff_) credit = credit_allowed(credit);
  sum_ += credit;
  buffer.limit_ = size + credit;
  if (credit == 0) return;
  buffer.has_credit_ = true;
  creditors_.push_front(&buffer);
}

inline BufferCore& BufferPoolCore::hand_out_idle() noexcept {
  BufferCore& idle = *idle_.front();
  idle_.remove(&idle);
  --idle_count_;
  ++out_;
  give_credit(idle, 0);
  return idle;
}

// Of a buffer that comes back.
inline void BufferPoolCore::empty(BufferCore& buffer) noexcept {
  settle(buffer);
  sum_ -= buffer.limit_;
  buffer.limit_ = 0;
  buffer.size_.store(0, std::memory_order_relaxed);
  --out_;
}

inline void BufferPoolCore::keep_idle(BufferCore& buffer) noexcept {
  if (idle_.empty()) drained_ms_ = os::coarse_ms();
  idle_.push_front(&buffer);
  ++idle_count_;
}

// Whether an idle buffer that holds so much is kept without asking if memory is short: that takes longer than all else
// in a put. So it is done once in a tick of the coarse clock, or where somebody is known to wait.
inline bool BufferPoolCore::need_not_ask(std::uint64_t held) const noexcept {
  constexpr std::uint64_t kWorthAsking = 64 * kKiB;
  return held < kWorthAsking || (asked_ms_.load(std::memory_order_relaxed) == os::coarse_ms() &&
                                 g_charging.load(std::memory_order_relaxed) == 0);
}

inline std::uintptr_t BufferCore::hand_out() noexcept {
  std::uintptr_t const handle = g_buffers.new_handle(*this);
  handle_.store(handle, std::memory_order_relaxed);
  return handle;
}

inline BufferCore* BufferPoolCore::get_quickly(std::uintptr_t handle) noexcept {
  Hold hold(mutex_);
  bool const is_plain = is(handle) && !is_closed() && trace_rate_.every() == 0 && !idle_.empty();
  return is_plain ? &hand_out_idle() : nullptr;
}

// The only idle buffer, whose drain nobody has to time; and nothing of it to give back or to wipe.
inline bool BufferPoolCore::put_quickly(std::uintptr_t handle, BufferCore& buffer, std::uintptr_t of_buffer) noexcept {
  if (!buffer.lock_.try_lock()) [[unlikely]]
    return false;
  mutex_.lock();
  std::uint64_t const size = buffer.size_.load(std::memory_order_relaxed);
  bool const is_plain = is(handle) && buffer.is(of_buffer) && buffer.pool_ == this &&
                        gate_.load(std::memory_order_relaxed) == 0 && waiting_ == 0 && idle_count_ == 0 && !wipes_ &&
                        trace_rate_.every() == 0 && size <= keep_bytes_ && buffer.charged_ <= keep_held_ &&
                        need_not_ask(buffer.charged_);
  if (is_plain) [[likely]] {
    buffer.handle_.store(kNoHandle, std::memory_order_relaxed);
    buffer.dirty_ = max(buffer.dirty_, size);
    empty(buffer);
    keep_idle(buffer);
  }
  mutex_.unlock();
  buffer.lock_.unlock();
  return is_plain;
}

}  // namespace stealth
