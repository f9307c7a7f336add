// From addresses of a dump to places with names.
#include "symbols.hpp"

#include <cinttypes>
#include <cstdio>

#include "names.hpp"

namespace stealth::command::profile {
namespace {

std::string hex(std::uint64_t number) {
  char text[24];
  std::snprintf(text, sizeof text, "0x%" PRIx64, number);
  return text;
}

// Names come from files that anybody may have made, and go to terminals.
std::string printable(std::string text) {
  for (char& c : text)
    if (static_cast<unsigned char>(c) < 0x20 || c == 0x7f) c = '?';
  return text;
}

}  // namespace

Symbols::Symbols(Dump const& dump, SymbolOptions const& options, Profile& profile)
    : dump_(dump), options_(options), profile_(profile) {
  // The program's own code comes first: readers of pprof's format take the first mapping for it. The kernel maps the
  // program before all else, below the libraries.
  Mapping const* program = nullptr;
  for (auto const& mapping : dump.mappings) {
    if (!mapping.of_a_file()) continue;
    if (program == nullptr) program = &mapping;
    if (mapping.path == program->path && mapping.executable) {
      mapping_index(mapping);
      break;
    }
  }
}

std::size_t Symbols::location_of(std::uint64_t return_address) {
  auto const [entry, fresh] = locations_.try_emplace(return_address, profile_.locations.size());
  if (!fresh) return entry->second;
  // A return address is behind its call, and after a call that does not return, in another function.
  auto const address = return_address - 1;
  Location location;
  location.address = address;
  auto const* const mapping = dump_.mapping_at(address);
  std::vector<Frame> frames;
  if (mapping != nullptr) {
    location.mapping = mapping_index(*mapping);
    if (mapping->of_a_file()) frames = module_of(*mapping).frames_at(*mapping, address);
  }
  bool const known = !frames.empty();
  if (!known) frames.push_back(nameless(mapping, address));
  for (auto& frame : frames) {
    frame.name = printable(frame.name);
    Function function;
    function.short_name = known ? short_name(frame.name) : frame.name;
    function.system_name = frame.linkage_name.empty() ? frame.name : frame.linkage_name;
    function.name = known ? without_parameters(frame.name) : frame.name;
    function.file = printable(frame.file);
    function.start_line = frame.start_line;
    location.lines.push_back({function_index(std::move(function)), frame.line});
  }
  profile_.locations.push_back(std::move(location));
  return entry->second;
}

Frame Symbols::nameless(Mapping const* mapping, std::uint64_t address) const {
  Frame frame;
  frame.name = mapping == nullptr || mapping->path.empty()
                   ? hex(address)
                   : mapping->base_name() + "+" + hex(address - mapping->start + mapping->offset);
  return frame;
}

Module& Symbols::module_of(Mapping const& mapping) {
  auto& module = modules_[{mapping.path, mapping.deleted}];
  if (module) return *module;
  std::optional<std::uint64_t> base;
  for (auto const& other : dump_.mappings)
    if (other.path == mapping.path && other.offset == 0 && other.start <= mapping.start) base = other.start;
  module = std::make_unique<Module>(mapping, base, options_);
  return *module;
}

std::size_t Symbols::mapping_index(Mapping const& mapping) {
  auto const [entry, fresh] = mappings_.try_emplace(&mapping, profile_.mappings.size());
  if (fresh) profile_.mappings.push_back(mapping);
  return entry->second;
}

// Compilers do not always name the symbol where a function is inlined; it is the same function.
std::size_t Symbols::function_index(Function function) {
  auto const [entry, fresh] =
      functions_.try_emplace({function.name, function.file, function.start_line}, profile_.functions.size());
  if (fresh) {
    profile_.functions.push_back(std::move(function));
  } else if (auto& known = profile_.functions[entry->second]; known.system_name == known.name) {
    known.system_name = function.system_name;
  }
  return entry->second;
}

std::vector<std::string> Symbols::notes() const {
  std::vector<std::string> notes;
  for (auto const& [key, module] : modules_)
    if (!module->trouble().empty())
      notes.push_back(printable(key.first) + ": " + module->trouble() + "; its functions have no names here");
  return notes;
}

}  // namespace stealth::command::profile
