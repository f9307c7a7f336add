// See processes.hpp. Field numbers are those of proc(5).
#include "processes.hpp"

#include <dirent.h>
#include <fcntl.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <charconv>
#include <memory>
#include <sstream>

#include "os/os.hpp"

namespace stealth::command {
namespace {

constexpr std::size_t kMostOfAFile = std::size_t{4} << 20;

std::string proc_path(int pid, char const* name) {
  return "/proc/" + (pid == 0 ? std::string("self") : std::to_string(pid)) + "/" + name;
}

std::string slurp(std::string const& path) {
  File const file(open(path.c_str(), O_RDONLY | O_CLOEXEC | O_NOCTTY));
  std::string all;
  char piece[16384];
  while (file.open() && all.size() < kMostOfAFile) {
    ssize_t const length = read(file.number(), piece, sizeof piece);
    if (length < 0 && errno == EINTR) continue;
    if (length <= 0) break;
    all.append(piece, static_cast<std::size_t>(length));
  }
  return all;
}

// How far the namespace's CLOCK_MONOTONIC is ahead of the machine's.
std::int64_t clock_offset(int pid) {
  std::istringstream lines(proc_file(pid, "timens_offsets"));
  std::string kind;
  std::int64_t seconds = 0, nanoseconds = 0;
  while (lines >> kind >> seconds >> nanoseconds) {
    if (kind == "monotonic") return seconds * 1'000'000'000 + nanoseconds;
  }
  return 0;
}

// The lines "Uid:" and "NSpid:" of status.
void read_status(Process& process) {
  std::istringstream lines(proc_file(process.pid, "status"));
  std::string line;
  while (std::getline(lines, line)) {
    std::istringstream fields(line);
    std::string key;
    fields >> key;
    if (key == "Uid:") {
      std::uint32_t user = 0;
      while (fields >> user) {
        if (std::find(process.users.begin(), process.users.end(), user) == process.users.end()) {
          process.users.push_back(user);
        }
      }
    } else if (key == "NSpid:") {
      int number = 0;
      while (fields >> number) process.inner = number;
    }
  }
}

}  // namespace

File& File::operator=(File&& other) noexcept {
  std::swap(number_, other.number_);
  return *this;
}

File::~File() {
  if (number_ >= 0) close(number_);
}

std::string proc_file(int pid, char const* name) { return slurp(proc_path(pid, name)); }

std::string proc_link(int pid, char const* name) {
  char target[4096];
  ssize_t const length = readlink(proc_path(pid, name).c_str(), target, sizeof target);
  return length <= 0 ? std::string() : std::string(target, static_cast<std::size_t>(length));
}

bool shares_namespace(int pid, char const* kind) {
  std::string const name = std::string("ns/") + kind;
  std::string const its = proc_link(pid, name.c_str());
  return its.empty() || its == proc_link(0, name.c_str());
}

std::optional<Process> look_at(int pid) {
  // One line: number (name) state …; the name may hold blanks and brackets.
  std::string const stat = proc_file(pid, "stat");
  std::size_t const name_end = stat.rfind(") ");
  if (name_end == std::string::npos) return std::nullopt;
  Process process;
  process.pid = process.inner = pid;
  std::istringstream fields(stat.substr(name_end + 2));
  std::string field;
  for (int number = 3; number <= 24 && fields >> field; ++number) {
    if (number == 3) process.state = field[0];
    if (number == 22) process.start = whole_number(field).value_or(0);
    if (number == 24) process.resident = whole_number(field).value_or(0) * os::page_size();
  }
  read_status(process);
  return process;
}

std::vector<int> all_processes() {
  std::vector<int> all;
  std::unique_ptr<DIR, int (*)(DIR*)> const proc(opendir("/proc"), closedir);
  while (dirent const* const entry = proc ? readdir(proc.get()) : nullptr) {
    if (auto const pid = whole_number(entry->d_name); pid && *pid < INT32_MAX) all.push_back(static_cast<int>(*pid));
  }
  std::sort(all.begin(), all.end());
  return all;
}

std::uint64_t clock_of(int pid) {
  std::uint64_t const now = os::monotonic_ns();
  if (shares_namespace(pid, "time")) return now;
  return now + static_cast<std::uint64_t>(clock_offset(pid) - clock_offset(0));
}

std::optional<std::uint64_t> whole_number(std::string_view text) {
  std::uint64_t number = 0;
  auto const [end, error] = std::from_chars(text.data(), text.data() + text.size(), number);
  if (text.empty() || error != std::errc() || end != text.data() + text.size()) return std::nullopt;
  return number;
}

}  // namespace stealth::command
