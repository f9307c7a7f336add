// The tables that handles of buffers and their pools lead to, and fork.
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

// Under its mutex each pool's sum, lists and limits are whole. Locks of buffers are not taken: who holds one may be
// copying for long, and a buffer is whole at every moment, because its size is written last.
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

void buffers_fork_in_child() noexcept {
  BufferPoolCore::nobody_is_charging();
  g_buffers.for_each([](BufferCore& buffer) { buffer.fork_in_child(); });
  g_buffer_pools.for_each([](BufferPoolCore& pool) { pool.fork_in_child(); });
  g_buffers.mutex().reset();
  g_buffer_pools.mutex().reset();
}

}  // namespace stealth
