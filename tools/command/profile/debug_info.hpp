// The DWARF of one file: which functions an address lies in, the inlined ones among them, and at which lines.
//
// Its own index over units and functions, since many files come without .debug_aranges, and since a walk over a whole
// unit for each address would take long where there are thousands.
#pragma once

#include <elfutils/libdw.h>

#include <cstdint>
#include <deque>
#include <optional>
#include <string>
#include <unordered_map>
#include <vector>

namespace stealth::command::profile {

struct Frame {
  std::string name;          // demangled; parameters come with it or not
  std::string linkage_name;  // as in the symbol table; empty: not known
  std::string file;          // absolute where that is known; empty: not known
  int line = 0;              // where the call is; 0: not known
  int start_line = 0;        // where the function begins; 0: not known
};

class DebugInfo {
 public:
  // bias: what is added to the file's addresses.
  DebugInfo(Dwarf* dwarf, std::uint64_t bias);

  // The innermost first; empty: no function is known there.
  std::vector<Frame> frames_at(std::uint64_t address);

 private:
  struct Range {
    Dwarf_Addr low, high;
    std::size_t index;  // of a unit, or of a function of a unit
  };
  struct Unit {
    Dwarf_Die skeleton, die;  // the same one, unless the unit is split
    bool indexed = false;
    std::vector<Range> ranges;
    std::vector<Dwarf_Die> functions;
  };
  struct Name {
    std::string name, linkage_name;
  };

  static void add_ranges(std::vector<Range>& ranges, Dwarf_Die& die, std::size_t index);
  static void sort(std::vector<Range>& ranges);
  static Range const* find(std::vector<Range> const& ranges, Dwarf_Addr pc);
  static void index_functions(Unit& unit, Dwarf_Die& parent, int depth);
  static void add_inlined(std::vector<Dwarf_Die>& chain, Dwarf_Die& parent, Dwarf_Addr pc, int depth);
  Name const& name_of(Dwarf_Die& die);

  std::uint64_t bias_;
  std::deque<Unit> units_;
  std::vector<Range> unit_ranges_;
  std::unordered_map<void const*, Name> names_;  // by where the DIE lies
};

}  // namespace stealth::command::profile
