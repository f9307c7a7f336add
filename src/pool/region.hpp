// An address range of its own for an explicit pool or buffer: reserved whole, made usable from its front on, given back
// at once. What was given back faults from then on, and its addresses are not handed out again soon.
//
// Charges nothing (charge.hpp does) and locks nothing: its owner sees to both.
#pragma once

#include <cstddef>
#include <cstdint>

namespace stealth {

struct RegionOptions {
  bool exclude_from_core_dump = false;
  bool lock_in_memory = false;  // pages stay in memory once they are touched
  bool huge_pages = false;      // asked for; commits and the beginning are whole ones
};

enum class RegionError : std::uint8_t { none, no_memory, not_supported };

class Region {
 public:
  constexpr Region() = default;
  Region(Region const&) = delete;
  Region& operator=(Region const&) = delete;

  // `bytes` is not 0; `alignment` a power of two. One inaccessible page at least lies before and behind what it gives.
  // Anything but `none`: it is as before. not_supported: the kernel cannot keep the range out of core dumps.
  [[nodiscard]] RegionError reserve(std::size_t bytes, std::size_t alignment, RegionOptions options) noexcept;

  // Makes [0, bytes) usable, and some more where the kernel grants it, so that few calls are made. Fresh memory is
  // zero. False: the kernel refuses (memory, RLIMIT_MEMLOCK), or bytes > size(); what was usable stays so.
  [[nodiscard]] bool commit(std::size_t bytes) noexcept;

  // The pages' contents go back to the kernel; they stay usable, and read as zero. Page boundaries. False: the kernel
  // refuses, and what they hold is undefined.
  [[nodiscard]] bool purge(std::size_t from, std::size_t to) noexcept;

  // Everything goes back at once: what is used from now on faults. Its addresses stay taken until many others were
  // retired after them. Twice is harmless.
  void retire() noexcept;
  // The same, for what no stale pointer points to: the addresses go back, too.
  void release() noexcept;

  [[nodiscard]] char* data() const noexcept { return base_; }  // null: nothing is reserved
  [[nodiscard]] std::size_t size() const noexcept { return size_; }
  [[nodiscard]] std::size_t committed() const noexcept { return committed_; }

 private:
  [[nodiscard]] bool commit_exactly(std::size_t bytes) noexcept;
  void forget() noexcept;

  char* base_ = nullptr;
  std::size_t size_ = 0;       // usable at most: whole pages
  std::size_t committed_ = 0;  // usable: a prefix
  char* mapping_ = nullptr;    // with the inaccessible pages around it
  std::size_t mapped_ = 0;
  RegionOptions options_{};
};

// Whoever maps memory by os.hpp directly: what one thread wrote comes before what the next one does in the same place.
void before_unmapping() noexcept;
void after_mapping() noexcept;

// fork: the list of retired addresses has a lock.
void regions_fork_prepare() noexcept;
void regions_fork_in_parent() noexcept;
void regions_fork_in_child() noexcept;

}  // namespace stealth
