// The memory limits of the process's cgroups, v1 and v2, and what is used of them. Groups are nested, and each level
// may have a limit of its own: what counts is the one with the least room.
#pragma once

#include <cstddef>
#include <cstdint>

#include "os/os.hpp"

namespace stealth::os {

// Not for several threads at once. Holds no descriptor: each figure is an open, a read and a close.
class CgroupMemory {
 public:
  // In bytes. `used` is what all processes of the group hold, without the file pages that the kernel can drop at once.
  struct Reading {
    std::uint64_t limit, used;
  };
  // Where to look; tests look elsewhere.
  struct Roots {
    char const* groups = "/proc/self/cgroup";
    char const* unified = "/sys/fs/cgroup";     // v2
    char const* old = "/sys/fs/cgroup/memory";  // v1
  };

  constexpr CgroupMemory() = default;
  constexpr explicit CgroupMemory(Roots const& roots) : roots_(roots) {}

  // Looks which groups the process is in, and which levels have a limit; true where one has. To be called again when
  // read() fails (the process may have been moved), and now and then where a limit given later shall be noticed.
  bool find() noexcept;

  // The tightest limit that find() saw; kUnlimited without one.
  [[nodiscard]] std::uint64_t limit() const noexcept { return limit_; }

  // The level with the least room, as it is now, limits included; {kUnlimited, 0} where no level has a limit. Nine
  // system calls a level. Six where usage alone leaves `roomy` bytes or more: `used` then includes the droppable pages.
  // False: a file could not be read, and `into` is as before.
  [[nodiscard]] bool read(Reading& into, std::uint64_t roomy = kUnlimited) const noexcept;

 private:
  static constexpr std::size_t kPathMax = 1024;
  static constexpr std::size_t kLevels = 8;  // limited ones; of more, the innermost

  // The process's group in one hierarchy, and those of its ancestors (prefixes of the path) that have a limit.
  struct Hierarchy {
    char path[kPathMax] = {};
    std::uint16_t ends[kLevels] = {};  // lengths of the prefixes; all < kPathMax
    std::uint8_t levels = 0;           // <= kLevels
  };
  struct Files;
  static Files const kUnified, kOld;

  void find_levels(Hierarchy& in, char const* root, char const* group, std::size_t group_length,
                   Files const& files) noexcept;
  static bool read_level(Hierarchy const& in, std::size_t level, Files const& files, std::uint64_t roomy,
                         Reading& least) noexcept;

  Roots roots_;
  std::uint64_t limit_ = kUnlimited;
  Hierarchy unified_, old_;
};

}  // namespace stealth::os
