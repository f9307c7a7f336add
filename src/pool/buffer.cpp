// See buffer.hpp. What a buffer does beyond the hot path: growing, reading, going back.
#include "pool/buffer.hpp"

#include "os/os.hpp"
#include "pool/buffer_pool.hpp"
#include "pool/charge.hpp"

namespace stealth {

namespace {

// What goes back to the kernel at a time; whole huge pages.
constexpr std::size_t kPiece = 2 * kMiB;
// Where there is plenty, a buffer is charged for a quarter more than it needs, but at most for so much, so that few
// writes ask.
constexpr std::size_t kMostAhead = 256 * kKiB;
// Where addresses are scarce, a buffer gets at least so many, or none; and at most this part of those that are left.
constexpr std::size_t kLeastAddresses = 64 * kKiB;
constexpr std::size_t kPartOfAddresses = 8;

}  // namespace

stealth_error BufferCore::begin(BufferPoolCore& pool) noexcept {
  std::uint64_t wanted = pool.max_buffer_size();
  if (std::uint64_t const left = os::address_space_left(); left != os::kUnlimited)
    wanted = min(wanted, max(left / kPartOfAddresses, std::uint64_t{kLeastAddresses}));
  for (;;) {
    RegionError const error = region_.reserve(static_cast<std::size_t>(wanted), 1, pool.region_options());
    if (error == RegionError::none) break;
    if (error == RegionError::not_supported) return STEALTH_NOT_SUPPORTED;
    if (wanted / 2 < kLeastAddresses) return STEALTH_NOT_ENOUGH_MEMORY;
    wanted /= 2;
  }
  base_ = region_.data();
  pool_ = &pool;
  gate_ = &pool.gate();
  ready_ = charged_ = dirty_ = 0;
  return STEALTH_OK;
}

// The charge first, and the memory right after it, in pieces: pool_release.cpp says why. From the end; what is left is
// at most `keep`, unless the kernel refuses.
void BufferCore::shed(std::size_t keep) noexcept {
  while (charged_ > keep) {
    std::uint64_t const from = max(std::uint64_t{keep}, charged_ - min(charged_, std::uint64_t{kPiece}));
    auto const bytes = static_cast<std::size_t>(charged_ - from);
    memory::release(bytes);
    if (!region_.purge(static_cast<std::size_t>(from), static_cast<std::size_t>(charged_))) {
      static_cast<void>(memory::charge(bytes, Waiting::never));
      return;
    }
    charged_ = from;
    ready_ = min(ready_, from);
    dirty_ = min(dirty_, from);
    pool_->count_held(-static_cast<std::int64_t>(bytes));
  }
}

std::size_t BufferCore::end() noexcept {
  auto const bytes = static_cast<std::size_t>(charged_);
  shed(kPiece);
  auto const rest = static_cast<std::size_t>(charged_);
  memory::release(rest);
  region_.retire();
  base_ = nullptr;
  ready_ = charged_ = dirty_ = 0;
  pool_->count_held(-static_cast<std::int64_t>(rest));
  return bytes;
}

// Leaves the lock while it charges. STEALTH_OK: worth another look.
stealth_error BufferCore::make_ready(std::uintptr_t handle, std::uint64_t end) noexcept {
  if (end > region_.size()) return STEALTH_NOT_ENOUGH_MEMORY;  // addresses were scarce
  BufferPoolCore& pool = *pool_;
  std::size_t const granule = pool.granule();
  std::size_t const needed = min(align_up(end, granule), region_.size());
  std::size_t const wanted = min(align_up(end + min(end / 4, std::uint64_t{kMostAhead}), granule), region_.size());
  auto const before = static_cast<std::size_t>(charged_);

  pool.begin_charging();
  lock_.unlock();
  std::size_t const bytes = pool.may_charge(needed - before, wanted - before);
  bool const charged = memory::charge(bytes, Waiting::as_malloc);
  lock_.lock();

  stealth_error error = STEALTH_OK;
  std::size_t surplus = bytes;
  if (!charged) {
    error = STEALTH_NOT_ENOUGH_MEMORY;
    surplus = 0;
  } else if (is(handle) && charged_ == before) {  // else: gone, or somebody else was faster
    if (region_.commit(before + bytes)) {
      surplus = 0;
    } else if (region_.commit(needed)) {
      surplus = before + bytes - needed;
    } else {
      error = STEALTH_NOT_ENOUGH_MEMORY;
    }
    std::size_t const kept = bytes - surplus;
    charged_ += kept;
    ready_ = min(charged_, pool.max_buffer_size());
    pool.count_held(static_cast<std::int64_t>(kept));
  }
  memory::release(surplus);
  pool.end_charging();
  return error;
}

void BufferCore::apply(Change const& change, std::uint64_t at) noexcept {
  std::uint64_t const end = at + change.bytes;
  if (change.from != nullptr) {
    std::memmove(base_ + at, change.from, change.bytes);
  } else if (change.zeroed && at < dirty_) {
    std::memset(base_ + at, 0, static_cast<std::size_t>(min(end, dirty_) - at));
  }
  if (end > size_.load(std::memory_order_relaxed)) size_.store(end, std::memory_order_release);
}

stealth_error BufferCore::change(std::uintptr_t handle, Change const& change, std::uint64_t* begin) noexcept {
  BufferWaiter waiter;
  waiter.over = change.has_waited;
  Hold hold(lock_);
  for (;;) {
    if (!is(handle)) return STEALTH_INVALID_HANDLE;
    if (pool_->is_closed()) return STEALTH_POOL_CLOSED;
    std::uint64_t const size = size_.load(std::memory_order_relaxed);
    std::uint64_t const at = change.at == kAtEnd ? size : change.at;
    if (at > size || change.bytes > pool_->max_buffer_size() - at) return STEALTH_OUT_OF_RANGE;
    if (begin != nullptr) *begin = at;
    if (change.bytes == 0) return STEALTH_OK;
    std::uint64_t const end = at + change.bytes;
    if (end > ready_) {
      stealth_error const error = make_ready(handle, end);
      if (error != STEALTH_OK) return error;
      continue;
    }
    BufferPoolCore& pool = *pool_;
    switch (pool.admit(*this, end, waiter)) {
      case BufferPoolCore::Admission::granted:
        apply(change, at);
        return STEALTH_OK;
      case BufferPoolCore::Admission::pool_closed:
        return STEALTH_POOL_CLOSED;
      case BufferPoolCore::Admission::wait_first:
        lock_.unlock();
        pool.sleep(waiter);
        lock_.lock();
        break;
    }
  }
}

stealth_error BufferCore::read(std::uintptr_t handle, void* into, std::size_t count, std::uint64_t at) noexcept {
  Hold hold(lock_);
  if (!is(handle)) return STEALTH_INVALID_HANDLE;
  std::uint64_t const size = size_.load(std::memory_order_relaxed);
  if (at > size || count > size - at) return STEALTH_OUT_OF_RANGE;
  if (count != 0) std::memcpy(into, base_ + at, count);
  return STEALTH_OK;
}

stealth_error BufferCore::truncate(std::uintptr_t handle, std::uint64_t size) noexcept {
  Hold hold(lock_);
  if (!is(handle)) return STEALTH_INVALID_HANDLE;
  std::uint64_t const before = size_.load(std::memory_order_relaxed);
  if (size > before) return STEALTH_OUT_OF_RANGE;
  if (size == before) return STEALTH_OK;
  dirty_ = max(dirty_, before);
  pool_->shrink(*this, size);
  return STEALTH_OK;
}

stealth_error BufferCore::view(std::uintptr_t handle, char*& data, std::uint64_t& size) noexcept {
  Hold hold(lock_);
  if (!is(handle)) return STEALTH_INVALID_HANDLE;
  data = base_;
  size = size_.load(std::memory_order_relaxed);
  return STEALTH_OK;
}

// An idle buffer keeps its memory up to its share of the target.
void BufferCore::slim(std::size_t keep) noexcept {
  shed(keep);
  if (pool_->wipes()) {
    std::memset(base_, 0, static_cast<std::size_t>(dirty_));
    dirty_ = 0;
  }
}

stealth_error BufferCore::give_back(std::uintptr_t handle, BufferPoolCore const* whose) noexcept {
  bool may_keep = false;
  {
    Hold hold(lock_);
    if (!is(handle)) return STEALTH_INVALID_HANDLE;
    if (whose != nullptr && whose != pool_) return STEALTH_INVALID_BLOCK;
    handle_.store(kNoHandle, std::memory_order_relaxed);  // from here on it is this thread's alone
    std::uint64_t const size = size_.load(std::memory_order_relaxed);
    dirty_ = max(dirty_, size);
    may_keep = pool_->may_keep(size, charged_);  // as it is now, not as the reset will leave it
  }
  if (may_keep) slim(static_cast<std::size_t>(pool_->keep_held()));
  return pool_->take_back(*this, may_keep);
}

}  // namespace stealth
