// A dump made readable: samples of scaled values at stacks of places, and each place as the functions that lie there.
// What all writers work from; everything in it is in an order that depends on the dump alone.
#pragma once

#include <cstddef>
#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "dump.hpp"
#include "options.hpp"

namespace stealth::command::profile {

struct Function {
  std::string name;         // with template arguments; where nothing is known MODULE+0xOFFSET
  std::string short_name;   // names.hpp
  std::string system_name;  // as in the symbol table, else the name
  std::string file;         // empty: not known
  int start_line = 0;       // 0: not known
};

struct Line {
  std::size_t function;  // index in functions
  int line = 0;          // 0: not known
};

struct Location {
  std::uint64_t address = 0;           // one byte of the call that returns here
  std::optional<std::size_t> mapping;  // index in mappings
  std::vector<Line> lines;             // the innermost first; at least one
};

struct Value {
  std::string type, unit;  // "inuse_space", "bytes"
};

struct Sample {
  std::vector<std::int64_t> values;    // as many as Profile::values
  std::vector<std::size_t> locations;  // the leaf first; at least one
};

struct Profile {
  std::string name;  // of the dump
  Kind kind = Kind::heap;
  std::uint64_t interval = 0;  // heap: mean bytes between samples; stalls: one of so many
  std::uint64_t sampled = 0;   // objects or stalls that were seen, before they were scaled
  std::vector<Value> values;   // the last one is what one asks for first
  std::vector<Function> functions;
  std::vector<Location> locations;
  std::vector<Mapping> mappings;   // those that locations lie in; the program's own first
  std::vector<Sample> samples;     // by the last value, largest first
  std::vector<std::string> notes;  // files whose functions could not be found

  // What text, folded and speedscope show: bytes or nanoseconds; and how many objects or stalls.
  [[nodiscard]] std::size_t amount() const { return values.size() - 1; }
  [[nodiscard]] std::size_t count() const { return values.size() - 2; }
  [[nodiscard]] std::int64_t total(std::size_t value) const;
};

// Never overflows: what is too large stays at the largest.
std::int64_t add(std::int64_t a, std::int64_t b);

// Looks up every address of the dump, once.
Profile make_profile(Dump const& dump, SymbolOptions const& options);

}  // namespace stealth::command::profile
