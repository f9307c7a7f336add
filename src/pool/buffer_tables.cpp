// The tables that handles of buffers and their pools lead to, and fork: what a child makes of calls that other threads
// of its parent were in.
#include "pool/buffer_pool.hpp"

namespace stealth {

constinit SlotTable<BufferCore, kMostBuffers> g_buffers;
constinit SlotTable<BufferPoolCore, kMostBufferPools> g_buffer_pools;

std::size_t trim_buffer_pools() noexcept {
  std::uint64_t sum = 0;
  g_buffer_pools.for_each_now([&sum](BufferPoolCore& pool) {
    std::uint64_t bytes = 0;
    if (std::uintptr_t const handle = pool.handle(); handle != kNoHandle) static_cast<void>(pool.trim(handle, bytes));
    sum += bytes;
  });
  return static_cast<std::size_t>(sum);
}

// The write that somebody was in is not there. Its bytes are, below the limit, which was raised for them; they are to
// be known for what they are, and what they are counted for is credit, to be called in like any other.
std::size_t BufferCore::fork_in_child() noexcept {
  if (charged_ != 0) pool_->count_held(static_cast<std::int64_t>(charged_));
  if (lock_.is_held()) {
    lock_.reset();
    if (handle_.load(std::memory_order_relaxed) != kNoHandle) {
      dirty_ = max(dirty_, limit_);
      pool_->take_for_credit(*this);
    }
  }
  return static_cast<std::size_t>(charged_);
}

void BufferPoolCore::take_for_credit(BufferCore& buffer) noexcept {
  if (buffer.has_credit_ || buffer.limit_ == buffer.size_.load(std::memory_order_relaxed)) return;
  buffer.has_credit_ = true;
  creditors_.push_front(&buffer);
}

// Under its mutex each pool's sum, lists and limits are whole. Locks of buffers are not taken: who holds one may be
// copying for long, and a buffer is nearly whole at every moment, because its size is written last.
void buffers_fork_prepare() noexcept {
  g_buffer_pools.mutex().lock();
  g_buffers.mutex().lock();
  g_buffer_pools.for_each([](BufferPoolCore& pool) { pool.fork_prepare(); });
}

void buffers_fork_in_parent() noexcept {
  g_buffer_pools.for_each([](BufferPoolCore& pool) { pool.fork_in_parent(); });
  g_buffers.mutex().unlock();
  g_buffer_pools.mutex().unlock();
}

std::size_t buffers_fork_in_child() noexcept {
  BufferPoolCore::nobody_is_charging();
  std::size_t held = 0;
  g_buffer_pools.for_each([](BufferPoolCore& pool) { pool.fork_in_child(); });
  g_buffers.for_each([&held](BufferCore& buffer) { held += buffer.fork_in_child(); });
  g_buffers.mutex().reset();
  g_buffer_pools.mutex().reset();
  return held;
}

}  // namespace stealth
