// See process_mark.hpp. Field numbers are those of proc(5).
#include "os/process_mark.hpp"

#include <fcntl.h>
#include <sys/syscall.h>

#include <cerrno>
#include <string_view>

#include "os/internal.hpp"
#include "os/os.hpp"

namespace stealth::os {
namespace {

struct Stat {
  int number = 0;
  std::uint64_t threads = 0;
  bool first_ended = false;  // its first thread has
  bool ended = false;
  std::uint64_t start = 0;
  std::uint64_t stack = 0;  // 0: not for us to see
};

// One line: number (name) state …; the name may hold blanks and brackets.
bool read_stat(char const* path, Stat& stat) {
  int const file = open_to_read(path);
  if (file < 0) return false;
  char text[768];
  long const length = read_some(file, text, sizeof text);
  close_file(file);
  if (length <= 0) return false;
  std::string_view rest(text, static_cast<std::size_t>(length));
  stat.number = static_cast<int>(parse_number(rest));
  std::size_t const name_end = rest.rfind(") ");
  if (name_end == std::string_view::npos) return false;
  rest.remove_prefix(name_end + 2);
  for (int field = 3; !rest.empty(); ++field) {
    std::string_view const value = take_until(rest, ' ');
    if (field == 3) stat.first_ended = value == "Z" || value == "X" || value == "x";
    if (field == 20) stat.threads = parse_number(value);
    if (field == 22) stat.start = parse_number(value);
    if (field == 28) {
      stat.stack = parse_number(value);
      // A first thread that has ended is a zombie as long as others run: their number still counts it.
      stat.ended = stat.first_ended && stat.threads <= 1;
      return stat.start != kUnlimited && stat.stack != kUnlimited;
    }
  }
  return false;
}

// Stacks begin at addresses whose lower bits follow from the size of arguments and environment, and the middle ones
// from randomisation: all of them shall matter.
std::uint64_t image_of(Stat const& stat) { return stat.stack == 0 ? 0 : (stat.stack * 0x9E3779B97F4A7C15u) >> 32 | 1; }

ProcessMark mark_of(Stat const& stat) { return {stat.number, stat.start, image_of(stat)}; }

// The number in "pid:[4026531836]".
std::uint64_t namespace_number(char const* link) {
  char text[64];
  long const length = sys(SYS_readlinkat, AT_FDCWD, address(link), address(text), sizeof text);
  if (length <= 0) return 0;
  std::string_view digits(text, static_cast<std::size_t>(length));
  static_cast<void>(take_until(digits, '['));
  std::uint64_t const number = parse_number(digits);
  return number == kUnlimited ? 0 : number;
}

// FNV-1a of the random name that the kernel gives itself at each boot.
std::uint64_t boot_number() {
  char text[64];
  long const length = read_file("/proc/sys/kernel/random/boot_id", text, sizeof text);
  if (length <= 0) return 0;
  std::uint64_t hash = 0xCBF29CE484222325u;
  for (char const c : std::string_view(text, static_cast<std::size_t>(length))) {
    hash = (hash ^ static_cast<unsigned char>(c)) * 0x100000001B3u;
  }
  return hash;
}

}  // namespace

ProcessMark ProcessMark::own() noexcept {
  int const number = process_id();
  Stat stat;
  if (!read_stat("/proc/self/stat", stat) || stat.number != number) return {number, 0, 0};
  return mark_of(stat);
}

Life ProcessMark::life(ProcessMark own) const noexcept {
  if (number() == 0) return Life::ended;
  if (own.start() != 0) {
    Path<64> path;
    path << "/proc/" << static_cast<std::uint64_t>(number()) << "/stat";
    Stat stat;
    if (read_stat(path.c_str(), stat)) {
      ProcessMark const now = mark_of(stat);
      bool const same_start = start() == 0 || start() == now.start();
      bool const same_image = image() == 0 || now.image() == 0 || image() == now.image();
      return stat.ended || !same_start || !same_image ? Life::ended : Life::runs;
    }
  }
  return sys(SYS_kill, number(), 0) == -ESRCH ? Life::ended : Life::unknown;
}

bool is_last_thread() noexcept {
  Stat stat;
  return read_stat("/proc/self/stat", stat) && stat.first_ended && stat.threads <= 2;
}

ProcessWorld ProcessWorld::own() noexcept {
  return {boot_number(), namespace_number("/proc/self/ns/pid"), namespace_number("/proc/self/ns/time")};
}

}  // namespace stealth::os
