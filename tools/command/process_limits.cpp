// The part of machine.hpp that is about this process: its limits, the directory of control pages and groups, its
// sandbox, what is preloaded already.
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/statvfs.h>
#include <unistd.h>

#include <array>
#include <cstdio>
#include <cstdlib>
#include <fstream>
#include <sstream>

#include "machine_parts.hpp"
#include "observe/page.hpp"

namespace stealth::command {

namespace {

constexpr std::uint64_t kLittleSpace = std::uint64_t{64} << 20U;  // of addresses: libstealth works from here on

std::uint64_t limit_of(int resource) {
  rlimit limit{};
  return ::getrlimit(static_cast<__rlimit_resource_t>(resource), &limit) == 0 ? limit.rlim_cur : RLIM_INFINITY;
}

std::string limit_text(std::uint64_t limit) { return limit == RLIM_INFINITY ? "unlimited" : size_text(limit); }

// Why the user's directory below `root` cannot be used; empty where it can, or can be made.
std::string trouble_with(std::string const& root) {
  if (::access(root.c_str(), W_OK | X_OK) != 0) return root + " cannot be written";
  std::string const own = root + "/stealth-" + std::to_string(::geteuid());
  struct stat facts;
  if (::lstat(own.c_str(), &facts) != 0) return {};
  if (!S_ISDIR(facts.st_mode)) return own + " is no directory";
  if (facts.st_uid != ::geteuid()) return own + " belongs to another user";
  if ((facts.st_mode & 077U) != 0) return own + " can be entered by others";
  struct statvfs system;
  bool const full = ::statvfs(root.c_str(), &system) == 0 && system.f_bavail * system.f_frsize < sizeof(observe::Page);
  return full ? root + " is full" : std::string{};
}

}  // namespace

std::string first_line(char const* path) {
  std::ifstream file(path);
  std::string line;
  std::getline(file, line);
  return line;
}

std::uint64_t number_in(char const* path) { return std::strtoull(first_line(path).c_str(), nullptr, 10); }

std::uint64_t meminfo(std::string const& name) {
  std::ifstream file("/proc/meminfo");
  for (std::string line; std::getline(file, line);) {
    if (line.starts_with(name + ":")) return std::strtoull(line.c_str() + name.size() + 1, nullptr, 10) * 1024;
  }
  return 0;
}

std::string size_text(std::uint64_t bytes) {
  static constexpr std::array<char const*, 5> kUnits = {"B", "KiB", "MiB", "GiB", "TiB"};
  auto value = static_cast<double>(bytes);
  std::size_t unit = 0;
  for (; value >= 1024 && unit + 1 < kUnits.size(); ++unit) value /= 1024;
  std::array<char, 32> text;
  std::snprintf(text.data(), text.size(), unit == 0 ? "%.0f %s" : "%.1f %s", value, kUnits[unit]);
  return text.data();
}

void look_at_limits(Findings& found) {
  std::uint64_t const addresses = limit_of(RLIMIT_AS);
  Finding finding = {Level::ok, "RLIMIT_AS", limit_text(addresses), "", ""};
  if (addresses != RLIM_INFINITY) {
    finding.level = Level::warn;
    finding.why = addresses < kLittleSpace
                      ? "with so few addresses libstealth cannot have a range of its own"
                      : "libstealth reserves at most half of what is left of it; what goes beyond comes from the next "
                        "allocator, and is not counted";
    finding.todo = "ulimit -v unlimited, and a capacity instead (--capacity)";
  }
  found.push_back(finding);
  std::uint64_t const data = limit_of(RLIMIT_DATA);
  finding = {Level::ok, "RLIMIT_DATA", limit_text(data), "", ""};
  if (data != RLIM_INFINITY) {
    finding.level = Level::warn;
    finding.why = "the kernel refuses memory beyond it, whatever the capacity";
    finding.todo = "ulimit -d unlimited, and a capacity instead (--capacity)";
  }
  found.push_back(finding);
  found.push_back(
      {Level::ok, "RLIMIT_MEMLOCK", limit_text(limit_of(RLIMIT_MEMLOCK)) + " for pools that are locked", "", ""});
}

void look_at_directories(Findings& found) {
  std::string troubles;
  for (std::string const& root :
       {std::string("/dev/shm"), "/run/user/" + std::to_string(::geteuid()), std::string("/tmp")}) {
    std::string const trouble = trouble_with(root);
    if (trouble.empty()) {
      Finding finding = {Level::ok, "shared files", root + "/stealth-" + std::to_string(::geteuid()), "", ""};
      if (root == "/tmp") {
        finding.level = Level::warn;
        finding.why = "control pages and groups lie in a directory that may be a disk's: " + troubles;
        finding.todo = "give it a /dev/shm";
      }
      found.push_back(std::move(finding));
      return;
    }
    troubles += (troubles.empty() ? "" : "; ") + trouble;
  }
  found.push_back({Level::warn, "shared files", troubles,
                   "there is no room for control pages (stealth top, stat, set) and groups",
                   "make /dev/shm writable, and /dev/shm/stealth-UID the user's alone"});
}

void look_at_process(Findings& found) {
  int const seccomp = ::prctl(PR_GET_SECCOMP, 0, 0, 0, 0);
  Finding finding = {Level::ok, "seccomp", seccomp == 2 ? "a filter" : "none", "", ""};
  if (seccomp == 2) {
    finding.found += " (as containers have); what it refuses cannot be told";
  }
  found.push_back(finding);
  char const* const preload = std::getenv("LD_PRELOAD");
  bool const is_set = preload != nullptr && *preload != '\0';
  found.push_back({Level::ok, "LD_PRELOAD",
                   is_set ? std::string(preload) + "; stealth run puts libstealth before it" : "not set", "", ""});
}

}  // namespace stealth::command
