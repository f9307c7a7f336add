// A dump as the library writes it, read: what was sampled at which stacks, and what was mapped where.
//
// Two kinds, told from the first line, both in the text forms that google-pprof reads (docs/operations.md, "Profiles").
// Knows nothing of symbols.
#pragma once

#include <array>
#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

namespace stealth::command::profile {

enum class Kind : std::uint8_t { heap, stalls };

// A line of /proc/PID/maps.
struct Mapping {
  std::uint64_t start = 0, end = 0;  // start < end
  std::uint64_t offset = 0;          // in the file
  bool executable = false;
  bool deleted = false;  // the file had lost its name
  std::string path;      // without " (deleted)"; [stack] and its like too; empty: anonymous
  std::string build_id;  // lower-case hex; empty: the dump does not tell

  [[nodiscard]] bool of_a_file() const { return !path.empty() && path.front() == '/'; }
  [[nodiscard]] std::string base_name() const { return path.substr(path.rfind('/') + 1); }
};

// Sampled, not yet scaled. Heap: of what is live, then of all that ever was. Stalls: count and cycles, the rest is
// zero.
struct Stack {
  std::uint64_t count = 0, amount = 0;
  std::uint64_t all_count = 0, all_amount = 0;
  std::vector<std::uint64_t> addresses;  // the leaf first; at least one
};

struct Dump {
  std::string name;  // of the file, for messages
  Kind kind = Kind::heap;
  std::uint64_t interval = 0;           // heap: mean bytes between samples
  std::uint64_t cycles_per_second = 0;  // stalls
  std::uint64_t sampling_period = 1;    // stalls: one of so many was counted
  std::vector<Stack> stacks;            // as in the file
  std::vector<Mapping> mappings;        // by address
  std::vector<std::string> notes;       // what is odd, but does not keep it from being read
  [[nodiscard]] Mapping const* mapping_at(std::uint64_t address) const;
};

// Throws Failure with the number of the line that cannot be read.
Dump parse_dump(std::string_view text, std::string const& name);

}  // namespace stealth::command::profile
