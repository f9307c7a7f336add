// Numbers as people read them: short, with a unit.
#pragma once

#include <cstdint>
#include <string>
#include <utility>
#include <vector>

#include "observe/page.hpp"

namespace stealth::command {

std::string show_bytes(std::uint64_t bytes);       // 1.50 GiB, at most 8 characters
std::string show_time(std::uint64_t nanoseconds);  // 12.3 ms, 4.10 s, 2m5s; at most 7 characters up to 999 days
std::string show_count(double count);              // 12345, 1.2 M
std::string show_share(double share);              // 93.2%

// `used` over the capacity; 0 where there is none.
double fill_of(observe::Figures const& figures);
// Bytes of a class that are with the program, and those that are free. No page can make these overflow.
std::uint64_t bytes_in_use(observe::ClassRow const& row);
std::uint64_t bytes_free(observe::ClassRow const& row);
std::uint64_t waits_in(observe::Figures const& figures);  // by the histogram

// A line of the table of classes: those of which there was ever a block, or that have a max, and all large blocks.
struct ClassLine {
  static constexpr std::uint64_t kLarge =
      UINT64_MAX;  // the size of all that is no class's; its waits are not told apart
  std::string name;
  std::uint64_t size, bytes, in_use, free, max, slabs, waits, waited_ns, grants;

  [[nodiscard]] bool is_large() const { return size == kLarge; }
};
std::vector<ClassLine> class_lines(observe::Snapshot const& snapshot);

char const* mode_name(std::uint64_t mode);
char const* policy_name(std::uint64_t policy);

// STEALTH_NAME and value, as the snapshot tells them, escaped; `changed`: only those that are not the default.
std::vector<std::pair<std::string, std::string>> settings_of(observe::Snapshot const& snapshot, bool changed);

}  // namespace stealth::command
