// What the process may use and what it uses: address-space limit, physical memory, footprint. Limits of cgroups:
// cgroup.cpp.
#include <sys/resource.h>
#include <sys/syscall.h>
#include <sys/sysinfo.h>

#include <string_view>

#include "os/internal.hpp"
#include "os/os.hpp"

namespace stealth::os {

std::uint64_t parse_number(std::string_view text) noexcept {
  if (text.empty() || text[0] < '0' || text[0] > '9') return kUnlimited;
  std::uint64_t value = 0;
  for (char const c : text) {
    if (c < '0' || c > '9') break;
    if (__builtin_mul_overflow(value, 10u, &value) ||
        __builtin_add_overflow(value, static_cast<unsigned>(c - '0'), &value))
      return kUnlimited;
  }
  return value;
}

std::uint64_t address_space_left() noexcept {
  rlimit limit{};
  if (sys(SYS_prlimit64, 0, RLIMIT_AS, 0, address(&limit)) != 0) return kUnlimited;
  if (limit.rlim_cur == RLIM_INFINITY) return kUnlimited;
  std::uint64_t const used = footprint().mapped;
  return limit.rlim_cur > used ? limit.rlim_cur - used : 0;
}

Footprint footprint() noexcept {
  char text[128];
  long const length = read_file("/proc/self/statm", text, sizeof text);
  if (length <= 0) return {};
  std::uint64_t pages[3];
  std::string_view rest(text, static_cast<std::size_t>(length));
  for (std::uint64_t& field : pages) {
    field = parse_number(take_until(rest, ' '));
    if (field == kUnlimited) return {};
  }
  return {pages[0] * page_size(), pages[1] * page_size(), pages[2] * page_size()};
}

int change_limit(int process, int resource, void const* limit, void* old) noexcept {
  return static_cast<int>(sys(SYS_prlimit64, process, resource, address(limit), address(old)));
}

std::uint64_t physical_memory() noexcept {
  struct sysinfo info {};
  if (sys(SYS_sysinfo, address(&info)) != 0) return kUnlimited;
  return std::uint64_t{info.totalram} * info.mem_unit;
}

}  // namespace stealth::os
