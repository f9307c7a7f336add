// A pool's memory: laid out, preallocated, made block by block. pool_release.cpp gives it back.
//
// Charged is what is given out, by the granule: the system's page, or a huge one. Where a block's stride is a multiple
// of it each block has its own; smaller blocks share theirs, and a bit per granule says that it is charged.
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
  if (options.trace_every != 0 && (traces_ = Traces::make()) == nullptr) return STEALTH_NOT_ENOUGH_MEMORY;
  trace_rate_.begin(options.trace_every);
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
  // Touched page by page it would be given until nothing is left, and then some process be killed for it.
  if (bytes > os::physical_memory()) return STEALTH_NOT_ENOUGH_MEMORY;
  if (!memory::charge(bytes, Waiting::as_malloc)) return STEALTH_NOT_ENOUGH_MEMORY;
  charged_ = bytes;
  bool const marks = shares_granules();
  if (!blocks_.commit(min(bytes, blocks_.size())) ||
      (marks && !granules_charged_.commit(divide_up(bytes / granule_, 8))))
    return STEALTH_NOT_ENOUGH_MEMORY;
  if (marks) static_cast<void>(mark_granules(0, bytes, true));
  ready_ = static_cast<std::uint32_t>(blocks);
  return os::populate(base_, blocks * stride_) ? STEALTH_OK : STEALTH_NOT_ENOUGH_MEMORY;
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

}  // namespace stealth
