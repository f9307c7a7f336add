// A buffer: bytes in an address range of their own, which grow in place. What the C API's stealth_buffer stands for.
//
// Its lock orders those who use the same buffer, and is never held while somebody waits, for the target or for the
// capacity. Order of locks: a buffer's, then its pool's mutex, then what lies below.
//
// `limit` says how far a write may go without asking anybody: so far the bytes are counted in the pool's sum, charged
// to the process's capacity, and usable. What is special makes it equal to the size, or the pool's gate shut: then
// every call comes to the slow way, which alone asks why.
#pragma once

#include <atomic>
#include <cstddef>
#include <cstdint>
#include <cstring>

#include "base/alone.hpp"
#include "base/list.hpp"
#include "base/mutex.hpp"
#include "base/units.hpp"
#include "pool/region.hpp"
#include "pool/slot_table.hpp"
#include "stealth/buffer_pool.h"

namespace stealth {

class BufferPoolCore;

class alignas(256) BufferCore : public ListNode {
 public:
  static constexpr std::uint64_t kAtEnd = ~std::uint64_t{0};
  struct Change {
    std::uint64_t at = kAtEnd;   // where it begins
    std::size_t bytes = 0;       // how many
    void const* from = nullptr;  // null: the buffer is extended
    bool zeroed = false;         // by zeros
    bool has_waited = false;     // in this call, before
  };

  // The hot path. False, and nothing has happened, unless the bytes fit below the limit; also where somebody else has
  // the lock at the moment. As long as the process has one thread, as the C library knows it, nobody has.
  [[nodiscard]] bool append_quickly(std::uintptr_t handle, void const* bytes, std::size_t count) noexcept {
    if (!lock_.try_lock()) [[unlikely]]
      return false;
    return append_and_unlock(handle, bytes, count);
  }
  // The same, once the lock is to be had.
  [[nodiscard]] bool append(std::uintptr_t handle, void const* bytes, std::size_t count) noexcept {
    lock_.lock();
    return append_and_unlock(handle, bytes, count);
  }

  // --- what the C functions do; each with the handle that it was called with ---
  // Waits, where the pool says so. Puts where the change began into `begin`, if that is not null.
  [[nodiscard]] stealth_error change(std::uintptr_t handle, Change const& change, std::uint64_t* begin) noexcept;
  [[nodiscard]] stealth_error read(std::uintptr_t handle, void* into, std::size_t count, std::uint64_t at) noexcept;
  [[nodiscard]] stealth_error truncate(std::uintptr_t handle, std::uint64_t size) noexcept;
  [[nodiscard]] stealth_error view(std::uintptr_t handle, char*& data, std::uint64_t& size) noexcept;
  // `whose`: the pool that it must be of; null: whichever.
  [[nodiscard]] stealth_error give_back(std::uintptr_t handle, BufferPoolCore const* whose) noexcept;

  // --- life, for the pool ---
  // Reserves its addresses: as many as may be, or, where there are not so many, fewer.
  [[nodiscard]] stealth_error begin(BufferPoolCore& pool) noexcept;
  // It is out from now on. Needs no lock: whoever comes with a handle of an earlier life has another one.
  [[nodiscard]] std::uintptr_t hand_out() noexcept;
  // All of its memory goes back; the bytes. Nobody has a handle of it.
  std::size_t end() noexcept;
  [[nodiscard]] std::size_t fork_in_child() noexcept;  // the bytes that it holds

  Slot slot;

 private:
  friend class BufferPoolCore;

  [[nodiscard]] bool is(std::uintptr_t handle) const noexcept {
    return handle_.load(std::memory_order_relaxed) == handle;
  }
  [[nodiscard]] bool append_and_unlock(std::uintptr_t handle, void const* bytes, std::size_t count) noexcept {
    std::uint64_t const size = size_.load(std::memory_order_relaxed);
    // A count of 0 is more than any room.
    bool const fits =
        is(handle) && count - 1 < limit_ - size && bytes != nullptr && gate_->load(std::memory_order_relaxed) == 0;
    if (fits) [[likely]] {
      std::memcpy(base_ + size, bytes, count);
      size_.store(size + count, std::memory_order_release);
    }
    lock_.unlock();
    return fits;
  }
  [[nodiscard]] stealth_error make_ready(std::uintptr_t handle, std::uint64_t end) noexcept;
  void shed(std::size_t keep) noexcept;
  void slim(std::size_t keep) noexcept;
  void apply(Change const& change, std::uint64_t at) noexcept;

  // Under the lock.
  ThriftyOwnerLock lock_;
  std::atomic<std::uintptr_t> handle_{kNoHandle};
  char* base_ = nullptr;
  std::atomic<std::uint64_t> size_{0};  // read without the lock, too
  std::uint64_t limit_ = 0;  // size_ <= limit_ <= ready_; counted. Written under the lock and the pool's mutex both
  std::atomic<std::uint32_t> const* gate_ = nullptr;  // the pool's
  BufferPoolCore* pool_ = nullptr;
  std::uint64_t ready_ = 0;    // usable and charged, at most what a buffer may hold
  std::uint64_t charged_ = 0;  // bytes
  std::uint64_t dirty_ = 0;    // from here on, and from size_ on, it is zero, so far as it is usable
  Region region_;

  // Under the pool's mutex.
  bool has_credit_ = false;  // limit_ > size_ perhaps; stands in the list of those
};
static_assert(sizeof(BufferCore) == 256);

}  // namespace stealth
