// What the process may use: address-space limit, physical memory, and the limits of its cgroups. Reads /proc and /sys
// with raw calls into fixed buffers.
#include <sys/resource.h>
#include <sys/syscall.h>
#include <sys/sysinfo.h>

#include <cstring>

#include "os/os.hpp"

namespace stealth::os {
namespace {

constexpr std::size_t kPathMax = 1024;

// A decimal number at `text`; kUnlimited for anything else ("max").
std::uint64_t parse_number(char const* text) {
  if (*text < '0' || *text > '9') return kUnlimited;
  std::uint64_t value = 0;
  for (; *text >= '0' && *text <= '9'; ++text) value = value * 10 + static_cast<std::uint64_t>(*text - '0');
  return value;
}

std::uint64_t read_limit(char const* path) {
  char text[64];
  long const length = read_file(path, text, sizeof text - 1);
  if (length <= 0) return kUnlimited;
  text[length] = '\0';
  std::uint64_t const value = parse_number(text);
  return value >= std::uint64_t{1} << 62 ? kUnlimited : value;  // v1 says "none" by a number near 2^63
}

std::uint64_t smaller(std::uint64_t a, std::uint64_t b) { return a < b ? a : b; }

// The tightest of `mount`/`group`/`file` and the same file of every ancestor.
std::uint64_t tightest(char const* mount, char const* group, std::size_t group_length, char const* file) {
  std::size_t const mount_length = std::strlen(mount);
  std::size_t const file_length = std::strlen(file);
  if (mount_length + group_length + file_length + 2 > kPathMax) return kUnlimited;
  char path[kPathMax];
  std::memcpy(path, mount, mount_length);
  std::memcpy(path + mount_length, group, group_length);
  std::uint64_t limit = kUnlimited;
  std::size_t end = mount_length + group_length;
  while (true) {
    while (end > mount_length && path[end - 1] == '/') --end;
    path[end] = '/';
    std::memcpy(path + end + 1, file, file_length + 1);
    limit = smaller(limit, read_limit(path));
    if (end == mount_length) return limit;
    while (end > mount_length && path[end - 1] != '/') --end;
  }
}

// Whether the comma list of v1 controllers (between the colons of a line of /proc/self/cgroup) names "memory".
bool names_memory(char const* list, std::size_t length) {
  constexpr char kName[] = "memory";
  constexpr std::size_t kLength = sizeof kName - 1;
  for (std::size_t i = 0; i + kLength <= length; ++i) {
    bool const begins = i == 0 || list[i - 1] == ',';
    bool const ends = i + kLength == length || list[i + kLength] == ',';
    if (begins && ends && std::memcmp(list + i, kName, kLength) == 0) return true;
  }
  return false;
}

}  // namespace

std::uint64_t address_space_left() noexcept {
  rlimit limit{};
  if (sys(SYS_prlimit64, 0, RLIMIT_AS, 0, static_cast<long>(reinterpret_cast<std::uintptr_t>(&limit))) != 0)
    return kUnlimited;
  if (limit.rlim_cur == RLIM_INFINITY) return kUnlimited;
  std::uint64_t const used = footprint().mapped;
  return limit.rlim_cur > used ? limit.rlim_cur - used : 0;
}

Footprint footprint() noexcept {
  char text[128];
  long const length = read_file("/proc/self/statm", text, sizeof text - 1);
  if (length <= 0) return {0, 0};
  text[length] = '\0';
  char const* second = std::strchr(text, ' ');
  if (second == nullptr) return {0, 0};
  return {parse_number(text) * page_size(), parse_number(second + 1) * page_size()};
}

int change_limit(int process, int resource, void const* limit, void* old) noexcept {
  auto const address = [](void const* p) { return static_cast<long>(reinterpret_cast<std::uintptr_t>(p)); };
  return static_cast<int>(sys(SYS_prlimit64, process, resource, address(limit), address(old)));
}

std::uint64_t physical_memory() noexcept {
  struct sysinfo info {};
  if (sys(SYS_sysinfo, static_cast<long>(reinterpret_cast<std::uintptr_t>(&info))) != 0) return kUnlimited;
  return std::uint64_t{info.totalram} * info.mem_unit;
}

std::uint64_t cgroup_limit() noexcept {
  char groups[4096];
  long const length = read_file("/proc/self/cgroup", groups, sizeof groups - 1);
  if (length <= 0) return kUnlimited;
  groups[length] = '\0';
  std::uint64_t limit = kUnlimited;
  for (char* line = groups; *line != '\0';) {  // hierarchy:controllers:path
    char* end = std::strchr(line, '\n');
    if (end == nullptr) end = line + std::strlen(line);
    char const* controllers = std::strchr(line, ':');
    char const* path = controllers == nullptr ? nullptr : std::strchr(controllers + 1, ':');
    if (path != nullptr && path < end) {
      std::size_t const path_length = static_cast<std::size_t>(end - path) - 1;
      if (controllers + 1 == path) {
        limit = smaller(limit, tightest("/sys/fs/cgroup", path + 1, path_length, "memory.max"));
      } else if (names_memory(controllers + 1, static_cast<std::size_t>(path - controllers) - 1)) {
        limit = smaller(limit, tightest("/sys/fs/cgroup/memory", path + 1, path_length, "memory.limit_in_bytes"));
      }
    }
    line = *end == '\0' ? end : end + 1;
  }
  return limit;
}

}  // namespace stealth::os
