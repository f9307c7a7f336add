// The DWARF of one file, through libdw.
#include "debug_info.hpp"

#include <dwarf.h>

#include <algorithm>
#include <cstdlib>
#include <filesystem>

#include "names.hpp"

namespace stealth::command::profile {
namespace {

constexpr int kDeepest = 256;  // no source nests so deep: a file that does is broken

bool has_ranges(Dwarf_Die& die) {
  return dwarf_hasattr(&die, DW_AT_low_pc) != 0 || dwarf_hasattr(&die, DW_AT_ranges) != 0;
}

char const* text_of(Dwarf_Die& die, unsigned name) {
  Dwarf_Attribute attribute;
  return dwarf_formstring(dwarf_attr_integrate(&die, name, &attribute));
}

std::optional<Dwarf_Word> number_of(Dwarf_Die& die, unsigned name) {
  Dwarf_Attribute attribute;
  Dwarf_Word value = 0;
  if (dwarf_formudata(dwarf_attr_integrate(&die, name, &attribute), &value) != 0) return std::nullopt;
  return value;
}

// Where the function was first declared: there its namespaces and classes are around it.
Dwarf_Die declaration_of(Dwarf_Die die) {
  for (int depth = 0; depth < kDeepest; ++depth) {
    Dwarf_Attribute attribute;
    Dwarf_Die target;
    Dwarf_Attribute* link = dwarf_attr(&die, DW_AT_abstract_origin, &attribute);
    if (link == nullptr) link = dwarf_attr(&die, DW_AT_specification, &attribute);
    if (link == nullptr || dwarf_formref_die(link, &target) == nullptr) break;
    die = target;
  }
  return die;
}

// What is written before the name: "shop::Store<int>::".
std::string qualifier_of(Dwarf_Die die) {
  auto declaration = declaration_of(die);
  Dwarf_Die* scopes = nullptr;
  int const count = dwarf_getscopes_die(&declaration, &scopes);
  std::string result;
  for (int i = count - 1; i > 0; --i) {
    auto const tag = dwarf_tag(&scopes[i]);
    bool const named = tag == DW_TAG_namespace || tag == DW_TAG_class_type || tag == DW_TAG_structure_type ||
                       tag == DW_TAG_union_type || tag == DW_TAG_subprogram;
    if (!named) continue;
    char const* const name = dwarf_diename(&scopes[i]);
    result += name != nullptr ? name : tag == DW_TAG_namespace ? "(anonymous namespace)" : "(unnamed)";
    result += "::";
  }
  std::free(scopes);
  return result;
}

// Relative ones are seen from the directory that the unit was compiled in.
std::string absolute(Dwarf_Die& unit, char const* file) {
  if (file == nullptr) return {};
  std::filesystem::path path(file);
  Dwarf_Attribute attribute;
  if (path.is_relative())
    if (char const* const dir = dwarf_formstring(dwarf_attr(&unit, DW_AT_comp_dir, &attribute)))
      path = std::filesystem::path(dir) / path;
  return path.lexically_normal().string();
}

std::string file_of(Dwarf_Die& unit, std::size_t index, Dwarf_Die& directory_of) {
  Dwarf_Files* files = nullptr;
  std::size_t count = 0;
  if (dwarf_getsrcfiles(&unit, &files, &count) != 0 || index >= count) return {};
  return absolute(directory_of, dwarf_filesrc(files, index, nullptr, nullptr));
}

// 0 where it is not known for this file: a header's declaration is not where the function begins. (libdw's own
// dwarf_decl_file() ends the program where a split unit has no table of files.)
int start_line(Dwarf_Die& function, std::string const& file, Dwarf_Die& unit) {
  Dwarf_Attribute attribute;
  Dwarf_Word index = 0;
  Dwarf_Die owner;  // the number counts in the table of the unit that it stands in
  if (dwarf_formudata(dwarf_attr_integrate(&function, DW_AT_decl_file, &attribute), &index) != 0 ||
      dwarf_cu_die(attribute.cu, &owner, nullptr, nullptr, nullptr, nullptr, nullptr, nullptr) == nullptr)
    return 0;
  bool const placed = dwarf_hasattr(&owner, DW_AT_comp_dir) != 0;
  if (file_of(owner, index, placed ? owner : unit) != file) return 0;
  return static_cast<int>(number_of(function, DW_AT_decl_line).value_or(0));
}

}  // namespace

DebugInfo::DebugInfo(Dwarf* dwarf, std::uint64_t bias) : bias_(bias) {
  Dwarf_CU* unit = nullptr;
  Dwarf_Half version = 0;
  std::uint8_t type = 0;
  Dwarf_Die die, split;
  while (dwarf_get_units(dwarf, unit, &unit, &version, &type, &die, &split) == 0) {
    if (type == DW_UT_type || type == DW_UT_split_type || type == DW_UT_partial) continue;
    auto const index = units_.size();
    bool const is_split = type == DW_UT_skeleton && split.addr != nullptr;
    units_.push_back(Unit{die, is_split ? split : die, false, {}, {}});
    add_ranges(unit_ranges_, die, index);
  }
  sort(unit_ranges_);
}

void DebugInfo::add_ranges(std::vector<Range>& ranges, Dwarf_Die& die, std::size_t index) {
  Dwarf_Addr base = 0, low = 0, high = 0;
  for (std::ptrdiff_t at = 0; (at = dwarf_ranges(&die, at, &base, &low, &high)) > 0;)
    if (low != 0 && low < high) ranges.push_back({low, high, index});  // 0: the linker left the function out
}

void DebugInfo::sort(std::vector<Range>& ranges) {
  // Of those that begin at one place the smaller ones last, where they are found first.
  std::stable_sort(ranges.begin(), ranges.end(),
                   [](Range const& a, Range const& b) { return a.low != b.low ? a.low < b.low : a.high > b.high; });
}

DebugInfo::Range const* DebugInfo::find(std::vector<Range> const& ranges, Dwarf_Addr pc) {
  auto at = std::upper_bound(ranges.begin(), ranges.end(), pc, [](Dwarf_Addr a, Range const& r) { return a < r.low; });
  // Ranges seldom overlap: where they do, the one around is a few steps before.
  for (int steps = 0; at != ranges.begin() && steps < kDeepest; ++steps) {
    --at;
    if (pc < at->high) return &*at;
  }
  return nullptr;
}

// Functions stand in units, namespaces and classes, and in functions themselves.
void DebugInfo::index_functions(Unit& unit, Dwarf_Die& parent, int depth) {
  Dwarf_Die die;
  if (depth > kDeepest || dwarf_child(&parent, &die) != 0) return;
  do {
    auto const tag = dwarf_tag(&die);
    if (tag == DW_TAG_subprogram && has_ranges(die)) {
      add_ranges(unit.ranges, die, unit.functions.size());
      unit.functions.push_back(die);
    }
    if (tag != DW_TAG_inlined_subroutine && dwarf_haschildren(&die) != 0) index_functions(unit, die, depth + 1);
  } while (dwarf_siblingof(&die, &die) == 0);
}

// Adds what is inlined in the parent at pc, the outermost first.
void DebugInfo::add_inlined(std::vector<Dwarf_Die>& chain, Dwarf_Die& parent, Dwarf_Addr pc, int depth) {
  Dwarf_Die die;
  if (depth > kDeepest || dwarf_child(&parent, &die) != 0) return;
  do {
    auto const tag = dwarf_tag(&die);
    bool const inlined = tag == DW_TAG_inlined_subroutine;
    bool const block = tag == DW_TAG_lexical_block || tag == DW_TAG_try_block || tag == DW_TAG_catch_block;
    if (!inlined && !block) continue;
    if (has_ranges(die) ? dwarf_haspc(&die, pc) <= 0 : inlined) continue;
    if (inlined) chain.push_back(die);
    auto const before = chain.size();
    add_inlined(chain, die, pc, depth + 1);
    if (inlined || chain.size() > before) return;
  } while (dwarf_siblingof(&die, &die) == 0);
}

DebugInfo::Name const& DebugInfo::name_of(Dwarf_Die& die) {
  auto const [entry, fresh] = names_.try_emplace(die.addr);
  auto& name = entry->second;
  if (!fresh) return name;
  char const* linkage = text_of(die, DW_AT_linkage_name);
  if (linkage == nullptr) linkage = text_of(die, DW_AT_MIPS_linkage_name);
  if (linkage != nullptr) {
    name.linkage_name = linkage;
    name.name = demangled(linkage);
    if (name.name != linkage) return name;
  }
  if (char const* const plain = dwarf_diename(&die)) name.name = qualifier_of(die) + plain;
  return name;
}

std::vector<Frame> DebugInfo::frames_at(std::uint64_t address) {
  auto const pc = address - bias_;
  auto const* const unit_range = find(unit_ranges_, pc);
  if (unit_range == nullptr) return {};
  auto& unit = units_[unit_range->index];
  if (!unit.indexed) {
    unit.indexed = true;
    index_functions(unit, unit.die, 0);
    sort(unit.ranges);
  }
  auto const* const range = find(unit.ranges, pc);
  if (range == nullptr) return {};
  std::vector<Dwarf_Die> chain{unit.functions[range->index]};
  add_inlined(chain, chain.front(), pc, 0);

  std::vector<Frame> frames;
  for (auto die = chain.rbegin(); die != chain.rend(); ++die) {
    auto const& name = name_of(*die);
    if (name.name.empty()) return {};  // the symbol table may know better
    Frame frame;
    frame.name = name.name;
    frame.linkage_name = name.linkage_name;
    if (die == chain.rbegin()) {
      if (Dwarf_Line* const line = dwarf_getsrc_die(&unit.skeleton, pc)) {
        dwarf_lineno(line, &frame.line);
        frame.file = absolute(unit.skeleton, dwarf_linesrc(line, nullptr, nullptr));
      }
    } else {
      auto& inlined = *(die - 1);
      frame.line = static_cast<int>(number_of(inlined, DW_AT_call_line).value_or(0));
      if (auto const index = number_of(inlined, DW_AT_call_file)) frame.file = file_of(unit.die, *index, unit.skeleton);
    }
    frame.start_line = start_line(*die, frame.file, unit.skeleton);
    frames.push_back(std::move(frame));
  }
  return frames;
}

}  // namespace stealth::command::profile
