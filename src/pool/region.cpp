// See region.hpp.
#include "pool/region.hpp"

#include <atomic>
#include <cstdint>

#include "base/mutex.hpp"
#include "base/units.hpp"
#include "os/os.hpp"

namespace stealth {

namespace {

constexpr std::size_t kHugePage = 2 * kMiB;
// Each commit is a system call and moves the boundary between two mappings. The first ones are small, for small pools.
constexpr std::size_t kLeastStep = 64 * kKiB;
constexpr std::size_t kLargestStep = 8 * kMiB;

// The kernel orders what one thread wrote to memory before what another does with the same addresses later. This says
// so to those who do not see the kernel's calls, as ThreadSanitizer.
constinit std::atomic<std::uint32_t> g_unmapped{0};

// Address ranges of what was retired, still taken so that a stale pointer faults instead of pointing into something
// new. They are addresses only, but of those a process may have few (RLIMIT_AS).
class Retired {
 public:
  static constexpr std::size_t kMost = 64;
  static constexpr std::size_t kMostBytes = std::size_t{4} << 40;

  void add(char* at, std::size_t bytes) noexcept {
    std::uint64_t const left = os::address_space_left();
    std::size_t const most = left == os::kUnlimited ? kMostBytes : min(kMostBytes, static_cast<std::size_t>(left / 8));
    Hold hold(mutex_);
    while (count_ != 0 && (count_ == kMost || bytes_ + bytes > most)) drop_oldest();
    if (bytes > most) {
      before_unmapping();
      os::unmap(at, bytes);
      return;
    }
    ranges_[(first_ + count_) % kMost] = {at, bytes};
    ++count_;
    bytes_ += bytes;
  }
  Mutex& mutex() noexcept { return mutex_; }

 private:
  struct Range {
    char* at;
    std::size_t bytes;
  };
  void drop_oldest() noexcept {
    Range const oldest = ranges_[first_];
    before_unmapping();
    os::unmap(oldest.at, oldest.bytes);
    bytes_ -= oldest.bytes;
    first_ = (first_ + 1) % kMost;
    --count_;
  }

  Mutex mutex_;
  Range ranges_[kMost] = {};
  std::size_t first_ = 0, count_ = 0, bytes_ = 0;
};
constinit Retired g_retired;

}  // namespace

void before_unmapping() noexcept { g_unmapped.fetch_add(1, std::memory_order_release); }
void after_mapping() noexcept { static_cast<void>(g_unmapped.load(std::memory_order_acquire)); }

RegionError Region::reserve(std::size_t bytes, std::size_t alignment, RegionOptions options) noexcept {
  std::size_t const page = os::page_size();
  std::size_t const aligned = max(max(alignment, page), options.huge_pages ? kHugePage : page);
  // Room for a page before and one behind, wherever the aligned beginning comes to lie.
  std::size_t const around = aligned + page;
  if (bytes > PTRDIFF_MAX - 2 * around - aligned) return RegionError::no_memory;
  std::size_t const size = align_up(bytes, options.huge_pages ? kHugePage : page);
  auto* const mapping = static_cast<char*>(os::reserve(size + around));
  if (mapping == nullptr) return RegionError::no_memory;
  after_mapping();
  char* const base = mapping + (align_up(reinterpret_cast<std::uintptr_t>(mapping) + page, aligned) -
                                reinterpret_cast<std::uintptr_t>(mapping));
  if (options.exclude_from_core_dump && !os::exclude_from_dumps(mapping, size + around)) {
    os::unmap(mapping, size + around);
    return RegionError::not_supported;
  }
  if (options.huge_pages) os::advise_huge_pages(base, size);  // a wish: without huge pages there are small ones
  base_ = base;
  size_ = size;
  committed_ = 0;
  mapping_ = mapping;
  mapped_ = size + around;
  options_ = options;
  return RegionError::none;
}

bool Region::commit_exactly(std::size_t bytes) noexcept {
  char* const from = base_ + committed_;
  std::size_t const more = bytes - committed_;
  if (!os::commit(from, more)) return false;
  // What could not be locked is not given out; it stays untouched, and is locked at the next try.
  if (options_.lock_in_memory && !os::lock_in_memory(from, more)) return false;
  committed_ = bytes;
  return true;
}

bool Region::commit(std::size_t bytes) noexcept {
  if (bytes <= committed_) return true;
  if (bytes > size_) return false;
  std::size_t const grain = options_.huge_pages ? kHugePage : os::page_size();
  std::size_t const needed = align_up(bytes, grain);
  std::size_t const step = min(max(committed_, kLeastStep), kLargestStep);
  std::size_t const wanted = min(max(needed, align_up(committed_ + step, grain)), size_);
  return commit_exactly(wanted) || (wanted > needed && commit_exactly(needed));
}

bool Region::purge(std::size_t from, std::size_t to) noexcept {
  if (from >= to) return true;
  return (options_.lock_in_memory ? os::purge_locked : os::purge)(base_ + from, to - from);
}

void Region::forget() noexcept {
  base_ = mapping_ = nullptr;
  size_ = committed_ = mapped_ = 0;
}

void Region::retire() noexcept {
  if (mapping_ == nullptr) return;
  if (committed_ == 0 || os::decommit(base_, committed_)) {
    g_retired.add(mapping_, mapped_);
  } else {
    before_unmapping();
    os::unmap(mapping_, mapped_);
  }
  forget();
}

void Region::release() noexcept {
  if (mapping_ == nullptr) return;
  before_unmapping();
  if (!os::unmap(mapping_, mapped_)) static_cast<void>(os::decommit(base_, size_));
  forget();
}

void regions_fork_prepare() noexcept { g_retired.mutex().lock(); }
void regions_fork_in_parent() noexcept { g_retired.mutex().unlock(); }
void regions_fork_in_child() noexcept { g_retired.mutex().reset(); }

}  // namespace stealth
