// A pool's memory: laid out, preallocated, made block by block, trimmed, and given back all at once.
//
// Charged is what is given out, by the granule: the system's page, or a huge one. Where a block's stride is a multiple
// of it each block has its own; smaller blocks share theirs, and a bit per granule says that it is charged.
#include "base/report.hpp"
#include "os/os.hpp"
#include "pool/charge.hpp"
#include "pool/pool_core.hpp"

namespace stealth {

namespace {

constexpr std::size_t kHugePage = 2 * kMiB;
// The first of a pool's magazines is that of threads which have none, and never opened. Behind them stand the numbers
// of those that are in use.
constexpr std::size_t kMagazineBytes = PoolCore::kMagazines * sizeof(Magazine);
constexpr std::size_t kAllMagazines = kMagazineBytes + PoolCore::kMagazines * sizeof(std::uint16_t);

constexpr std::uint32_t kKnownFlags = STEALTH_POOL_EXCLUDE_FROM_CORE_DUMP | STEALTH_POOL_LOCK_IN_MEMORY |
                                      STEALTH_POOL_HUGE_PAGES | STEALTH_POOL_WIPE_ON_PUT;

// x * result == 1 modulo 2^64, for odd x: each step doubles the number of right bits.
std::uint64_t inverse_of(std::uint64_t x) {
  std::uint64_t inverse = x;
  for (int right = 3; right < 64; right *= 2) inverse *= 2 - x * inverse;
  return inverse;
}

stealth_error to_error(RegionError error) {
  switch (error) {
    case RegionError::none:
      return STEALTH_OK;
    case RegionError::not_supported:
      return STEALTH_NOT_SUPPORTED;
    case RegionError::no_memory:
      break;
  }
  return STEALTH_NOT_ENOUGH_MEMORY;
}

}  // namespace

stealth_error PoolCore::lay_out(std::uint64_t max_blocks, struct stealth_pool_options const& options) noexcept {
  bool const huge = (options.flags & STEALTH_POOL_HUGE_PAGES) != 0;
  std::uint64_t const size = options.block_size == 0 ? STEALTH_POOL_DEFAULT_BLOCK_SIZE : options.block_size;
  if (max_blocks == 0 || max_blocks > kMostBlocks || size > kMostBytes || options.alignment > kMostBytes ||
      (options.alignment != 0 && !is_power_of_two(options.alignment)) || (options.flags & ~kKnownFlags) != 0)
    return STEALTH_INVALID_OPTIONS;
  if (options.preallocate > max_blocks) return STEALTH_PREALLOC_OUT_OF_BOUNDS;
  std::size_t const page = os::page_size();
  std::size_t const natural = size >= page ? page : size & (~size + 1);
  alignment_ = max(static_cast<std::size_t>(options.alignment), natural);
  stride_ = align_up(size, alignment_);
  if (stride_ > kMostBytes / max_blocks) return STEALTH_INVALID_OPTIONS;
  block_size_ = size;
  max_blocks_ = static_cast<std::uint32_t>(max_blocks);
  granule_ = huge ? kHugePage : page;
  wipes_ = (options.flags & STEALTH_POOL_WIPE_ON_PUT) != 0;
  shift_ = static_cast<std::uint8_t>(__builtin_ctzll(stride_));
  inverse_ = inverse_of(stride_ >> shift_);

  RegionOptions const wanted = {(options.flags & STEALTH_POOL_EXCLUDE_FROM_CORE_DUMP) != 0,
                                (options.flags & STEALTH_POOL_LOCK_IN_MEMORY) != 0, huge};
  stealth_error error = to_error(blocks_.reserve(stride_ * max_blocks, alignment_, wanted));
  if (error != STEALTH_OK) return error;
  // Threads may look at a magazine of a pool that is gone: it stays for the next pool that has this core.
  if (all_magazines_.data() == nullptr && all_magazines_.reserve(kAllMagazines, 64, {}) != RegionError::none)
    return STEALTH_NOT_ENOUGH_MEMORY;
  if (!all_magazines_.commit(kAllMagazines) || all_words_.reserve(word_bytes(max_blocks_), 64, {}) != RegionError::none)
    return STEALTH_NOT_ENOUGH_MEMORY;
  if (shares_granules() &&
      granules_charged_.reserve(divide_up(divide_up(stride_ * max_blocks, granule_), 8), 8, {}) != RegionError::none)
    return STEALTH_NOT_ENOUGH_MEMORY;
  base_ = blocks_.data();
  magazines_ = all_magazines_.data();
  attached_ = reinterpret_cast<std::uint16_t*>(all_magazines_.data() + kMagazineBytes);
  words_ = reinterpret_cast<std::atomic<std::uint32_t>*>(all_words_.data());
  return STEALTH_OK;
}

stealth_error PoolCore::begin(std::uint64_t max_blocks, struct stealth_pool_options const& options,
                              std::uintptr_t handle) noexcept {
  stealth_error error = lay_out(max_blocks, options);
  if (error == STEALTH_OK) error = preallocate(options.preallocate);
  if (error != STEALTH_OK) {
    give_up_memory();
    return error;
  }
  handle_.store(handle, std::memory_order_release);
  return STEALTH_OK;
}

stealth_error PoolCore::preallocate(std::uint64_t blocks) noexcept {
  if (blocks == 0) return STEALTH_OK;
  std::size_t const bytes = align_up(blocks * stride_, granule_);
  if (!memory::charge(bytes, Waiting::as_malloc)) return STEALTH_NOT_ENOUGH_MEMORY;
  charged_ = bytes;
  bool const marks = shares_granules();
  if (!blocks_.commit(min(bytes, blocks_.size())) ||
      (marks && !granules_charged_.commit(divide_up(bytes / granule_, 8))) || !os::populate(base_, blocks * stride_))
    return STEALTH_NOT_ENOUGH_MEMORY;
  if (marks) static_cast<void>(mark_granules(0, bytes, true));
  ready_ = static_cast<std::uint32_t>(blocks);
  return STEALTH_OK;
}

std::uint32_t PoolCore::next_fresh() const noexcept {
  if (reach() < ready_) return reach();
  if (trimmed_ != 0) {
    std::uint32_t i = trimmed_from_;
    while ((word(i).load(std::memory_order_relaxed) & kStates) != kGone) ++i;
    return i;
  }
  return reach() < max_blocks_ ? reach() : kNone;
}

// Bytes that a fresh block makes the pool hold in addition.
std::size_t PoolCore::charge_for(std::uint32_t i) const noexcept {
  if (i >= reach() && i < ready_) return 0;
  if (!shares_granules()) return stride_;
  auto const* const marks = reinterpret_cast<unsigned char const*>(granules_charged_.data());
  std::size_t const first = i * stride_ / granule_;
  std::size_t const end = divide_up((i + std::size_t{1}) * stride_, granule_);
  std::size_t sum = 0;
  for (std::size_t g = first; g < end; ++g) {
    bool const known = g / 8 < granules_charged_.committed();
    if (!known || (marks[g / 8] >> g % 8 & 1) == 0) sum += granule_;
  }
  return sum;
}

std::size_t PoolCore::mark_granules(std::size_t from, std::size_t to, bool charged) noexcept {
  auto* const marks = reinterpret_cast<unsigned char*>(granules_charged_.data());
  std::size_t changed = 0;
  for (std::size_t g = from / granule_; g < divide_up(to, granule_) && g / 8 < granules_charged_.committed(); ++g) {
    auto const bit = static_cast<unsigned char>(1u << g % 8);
    if (((marks[g / 8] & bit) != 0) == charged) continue;
    marks[g / 8] ^= bit;
    changed += granule_;
  }
  return changed;
}

// Makes a block of which nothing is there; it has been charged. False: the kernel refuses.
bool PoolCore::make(std::uint32_t i) noexcept {
  std::size_t const begin = i * stride_;
  std::size_t const end = begin + stride_;
  std::size_t const cost = charge_for(i);
  bool const beyond = i >= reach();
  if (!blocks_.commit(end) || (beyond && !all_words_.commit(word_bytes(i + 1)))) return false;
  if (shares_granules()) {
    if (!granules_charged_.commit(divide_up(divide_up(end, granule_), 8))) return false;
    static_cast<void>(mark_granules(begin, end, true));
  }
  charged_ += cost;
  if (beyond) {
    reach_.store(i + 1, std::memory_order_release);
    ready_ = max(ready_, i + 1);
  } else {
    trimmed_from_ = i + 1;
    --trimmed_;
  }
  word(i).store(kFree, std::memory_order_release);
  ++circulating_;
  high_water_ = max(high_water_, circulating_);
  return true;
}

// Gives back what blocks in [from, to), none of which is in use, have for themselves. The bytes.
std::size_t PoolCore::trim_run(std::uint32_t from, std::uint32_t to) noexcept {
  std::size_t const begin = align_up(from * stride_, granule_);
  // Behind the last block there is nobody to share with.
  std::size_t const end =
      to == ready_ ? min(align_up(to * stride_, granule_), blocks_.committed()) : align_down(to * stride_, granule_);
  bool const purged = begin < end && blocks_.purge(begin, end);
  bool const with_spare = to == ready_;
  std::size_t bytes = 0;
  for (std::uint32_t i = to; i-- > from;) {
    bool const known = i < reach();
    std::uint32_t const state = known ? word(i).load(std::memory_order_relaxed) & kStates : kGone;
    if (known && state == kGone) continue;  // before this
    if (purged && i * stride_ < end && (i + std::size_t{1}) * stride_ > begin) {
      bytes += stride_;
      if (!known) continue;
      word(i).store(kGone, std::memory_order_relaxed);
      ++trimmed_;
      --circulating_;
    } else if (known) {
      push_depot(i);
    }
  }
  if (shares_granules()) bytes = purged ? mark_granules(begin, end, false) : 0;
  if (purged && with_spare) ready_ = reach();
  charged_ -= bytes;
  return bytes;
}

stealth_error PoolCore::trim(stealth_pool const* handle, std::uint64_t& given_back) noexcept {
  std::size_t bytes = 0;
  {
    Hold hold(mutex_);
    if (!is(handle)) return STEALTH_INVALID_HANDLE;
    if (closed_) return STEALTH_POOL_CLOSED;
    settle();
    gather(Why::to_count);
    settle();
    depot_ = depot_count_ = 0;
    std::uint32_t const made = reach();
    std::uint32_t end = ready_;  // of the run that is being looked at, from its end on
    for (std::uint32_t i = made; i-- > 0;) {
      std::uint32_t const state = word(i).load(std::memory_order_acquire) & kStates;
      if (state != kUsed && state != kWiping) continue;
      if (end > i + 1) bytes += trim_run(i + 1, end);
      end = i;
    }
    if (end > 0) bytes += trim_run(0, end);
    trimmed_from_ = 0;
  }
  memory::release(bytes);
  given_back = bytes;
  return STEALTH_OK;
}

stealth_error PoolCore::owns(stealth_pool const* handle, void const* address, bool& owns) noexcept {
  Hold hold(mutex_);
  if (!is(handle)) return STEALTH_INVALID_HANDLE;
  if (closed_) return STEALTH_POOL_CLOSED;
  std::size_t const offset = reinterpret_cast<std::uintptr_t>(address) - reinterpret_cast<std::uintptr_t>(base_);
  std::size_t const i = offset / stride_;
  if (i >= reach() || offset % stride_ >= block_size_) return STEALTH_OK;
  std::uint32_t const state = word(static_cast<std::uint32_t>(i)).load(std::memory_order_relaxed) & kStates;
  owns = state == kUsed || state == kWiping;
  return STEALTH_OK;
}

stealth_error PoolCore::read(stealth_pool const* handle, struct stealth_pool_statistics& into) noexcept {
  Hold hold(mutex_);
  if (!is(handle)) return STEALTH_INVALID_HANDLE;
  into.block_size = block_size_;
  into.alignment = alignment_;
  into.max_blocks = max_blocks_;
  into.closed = closed_ ? 1 : 0;
  if (closed_) return STEALTH_OK;
  settle();
  std::uint64_t const free = min(free_in_lists(), std::uint64_t{circulating_});  // one may be seen twice on its way
  std::uint64_t const spare = ready_ - reach();
  into.allocated = circulating_ + spare;
  into.free = free + spare;
  into.in_use = circulating_ - free;
  into.high_water = high_water_;
  into.held = charged_;
  into.waiting = waiting_;
  return STEALTH_OK;
}

// Lets others have the mutex who are about to be done.
void PoolCore::leave_for_a_moment() noexcept {
  std::uint32_t const never = 0;
  mutex_.unlock();
  os::futex_wait(&never, 0, 50'000);
  mutex_.lock();
}

// Leaves the pool without memory and without blocks; how many were out.
std::uint32_t PoolCore::close_under_mutex() noexcept {
  settle();
  closed_ = true;
  wake(waiting_);
  while (wiping_ != 0) leave_for_a_moment();  // somebody writes to a block
  gather(Why::to_count);
  if (must_recount_) recount();
  std::uint32_t const out = circulating_ - min(depot_count_, circulating_);
  blocks_.retire();
  // Nobody looks at words without an open magazine or the mutex.
  all_words_.release();
  granules_charged_.release();
  reach_.store(0, std::memory_order_relaxed);
  depot_ = depot_count_ = circulating_ = ready_ = trimmed_ = trimmed_from_ = 0;
  return out;
}

stealth_error PoolCore::close(stealth_pool const* handle) noexcept {
  std::uint32_t out = 0;
  std::size_t bytes = 0;
  std::size_t size = 0;
  std::uint32_t most = 0;
  {
    Hold hold(mutex_);
    if (!is(handle)) return STEALTH_INVALID_HANDLE;
    if (closed_) return STEALTH_OK;
    most = max_blocks_;
    size = block_size_;
    out = close_under_mutex();
    bytes = charged_;
    charged_ = 0;
  }
  memory::release(bytes);
  if (out != 0) {
    report("a pool was closed with ", out, " of its ", most, " blocks of ", std::uint64_t{size},
           " bytes still out: touching them now ends the program; put them back first");
  }
  return STEALTH_OK;
}

stealth_error PoolCore::end(stealth_pool const* handle) noexcept {
  stealth_error const error = close(handle);
  if (error != STEALTH_OK) return error;
  Hold hold(mutex_);
  if (!is(handle)) return STEALTH_INVALID_HANDLE;  // somebody else was faster
  handle_.store(0, std::memory_order_relaxed);
  // Those who waited, or were being charged for a block, look at it once more.
  while (inside_ != 0) leave_for_a_moment();
  give_up_memory();
  return STEALTH_OK;
}

// Zero again, but for the mutex and the handle.
void PoolCore::give_up_memory() noexcept {
  for (std::uint32_t k = 0; k < attached_count_; ++k) {
    Magazine& left = magazine(attached_[k]);
    left.attached = false;
    left.owner.store(Magazine::kNobody, std::memory_order_relaxed);
    left.clear();
    left.level = 0;
    left.calls_to_wait = 0;
    left.shared_ms = 0;
  }
  blocks_.release();
  all_words_.release();
  granules_charged_.release();
  memory::release(charged_);
  charged_ = 0;
  reach_.store(0, std::memory_order_relaxed);
  depot_ = depot_count_ = circulating_ = high_water_ = ready_ = trimmed_ = trimmed_from_ = attached_count_ = 0;
  closed_ = must_recount_ = forked_ = false;
}

}  // namespace stealth
