// What the count is compared with before anybody is delayed: memory that is really there. The count says what was
// handed out; the kernel says what is resident, or what the whole cgroup uses.
#pragma once

#include <atomic>
#include <cstdint>

#include "os/cgroup.hpp"

namespace stealth {

class Meter {
 public:
  enum class Source : std::uint8_t {
    none,      // the count alone
    resident,  // no more than this process's resident anonymous memory
    cgroup,    // what the tightest cgroup uses, of which this process is a part
  };
  void use(Source source) noexcept { source_.store(source, std::memory_order_relaxed); }
  // False: there is no cgroup with a limit. One thread at a time, and not together with read().
  bool find_cgroup() noexcept { return cgroup_.find(); }
  // The tightest limit of the process's cgroups, as find_cgroup() saw it; os::kUnlimited without one.
  [[nodiscard]] std::uint64_t cgroup_limit() const noexcept { return cgroup_.limit(); }
  [[nodiscard]] Source source() const noexcept { return source_.load(std::memory_order_relaxed); }

  struct Reading {
    bool valid;
    std::uint64_t used;   // bytes, to be compared with the capacity
    std::uint64_t limit;  // cgroup: its limit now; os::kUnlimited: it has none any more
  };
  // A few system calls, some ten microseconds. One thread at a time.
  [[nodiscard]] Reading read() noexcept;

 private:
  std::atomic<Source> source_{Source::none};
  os::CgroupMemory cgroup_;
  std::uint64_t found_ns_ = 0;
};

}  // namespace stealth
