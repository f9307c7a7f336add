// What the arena's tests share: an arena with a budget of its own, and what the kernel says about its pages.
#pragma once

#include <gtest/gtest.h>
#include <sys/mman.h>
#include <sys/prctl.h>

#include <algorithm>
#include <cstring>
#include <fstream>
#include <memory>
#include <string>
#include <vector>

#include "arena/arena.hpp"
#include "fake_sys.hpp"
#include "support.hpp"

namespace stealth::test {

// Its addresses stay reserved after it is gone, as a process's do; the memory goes back.
struct OwnArena {
  explicit OwnArena(std::size_t bytes, std::uint32_t purge_delay_ms = 1u << 30) {
    // Huge pages make more resident than was touched.
    prctl(PR_SET_THP_DISABLE, 1, 0, 0, 0);
    arena.set_purge_delay(purge_delay_ms);
    if (bytes != 0) {
      EXPECT_TRUE(arena.reserve(bytes));
    }
  }
  ~OwnArena() {
    if (arena.reserved_bytes() != 0) munmap(arena.memory_of(arena.run_at(0)), arena.reserved_bytes());
  }
  OwnArena(OwnArena const&) = delete;
  OwnArena& operator=(OwnArena const&) = delete;

  [[nodiscard]] std::size_t held() const { return budget.facts().held; }
  [[nodiscard]] char* memory(Run const* run) const { return arena.memory_of(run); }

  Budget budget;
  Arena arena{budget};
};

// Charges pages of a run, as its holder would.
[[nodiscard]] inline bool touch(OwnArena& own, Run const* run, std::uint32_t from, std::uint32_t to,
                                Level level = Level::within) {
  Charge charge{.level = level};
  return own.arena.touch(run, from, to, charge);
}

// Touches the run's first pages: charged, then written.
inline bool fill(OwnArena& own, Run* run, std::uint32_t pages, char with) {
  if (!touch(own, run, 0, pages)) return false;
  std::memset(own.memory(run), with, pages * kPage);
  return true;
}

// Pages that the kernel keeps for [at, at + bytes); all ones where not all of it is mapped.
inline std::size_t resident_pages(void* at, std::size_t bytes) {
  constexpr std::size_t kAtOnce = 256;
  unsigned char pages[kAtOnce];
  std::size_t count = 0;
  for (std::size_t done = 0; done < bytes; done += kAtOnce * kPage) {
    std::size_t const length = std::min(bytes - done, kAtOnce * kPage);
    if (mincore(static_cast<char*>(at) + done, length, pages) != 0) return ~std::size_t{0};
    for (std::size_t i = 0; i < length / kPage; ++i) count += pages[i] & 1;
  }
  return count;
}

inline bool is_mapped(void* at) { return resident_pages(at, kPage) != ~std::size_t{0}; }

// The VmFlags of the mapping that holds `at`, from /proc/self/smaps.
inline std::string mapping_flags(void const* at) {
  std::ifstream smaps("/proc/self/smaps");
  bool inside = false;
  for (std::string line; std::getline(smaps, line);) {
    std::uintptr_t begin = 0, end = 0;
    if (std::sscanf(line.c_str(), "%lx-%lx ", &begin, &end) == 2) {
      inside = reinterpret_cast<std::uintptr_t>(at) >= begin && reinterpret_cast<std::uintptr_t>(at) < end;
    } else if (inside && line.rfind("VmFlags:", 0) == 0) {
      return line + " ";
    }
  }
  return "";
}

}  // namespace stealth::test
