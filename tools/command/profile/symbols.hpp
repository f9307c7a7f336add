// From addresses of a dump to places with names; each address is looked up once.
#pragma once

#include <cstdint>
#include <map>
#include <memory>
#include <string>
#include <tuple>
#include <unordered_map>

#include "module.hpp"
#include "profile.hpp"

namespace stealth::command::profile {

class Symbols {
 public:
  // Fills functions, locations and mappings of the profile.
  Symbols(Dump const& dump, SymbolOptions const& options, Profile& profile);

  // The index of the location that a return address belongs to.
  std::size_t location_of(std::uint64_t return_address);
  // What could not be found, a line for each file.
  [[nodiscard]] std::vector<std::string> notes() const;

 private:
  Module& module_of(Mapping const& mapping);
  std::size_t mapping_index(Mapping const& mapping);
  std::size_t function_index(Function function);
  Frame nameless(Mapping const* mapping, std::uint64_t address) const;

  Dump const& dump_;
  SymbolOptions const& options_;
  Profile& profile_;
  std::unordered_map<std::uint64_t, std::size_t> locations_;
  std::map<Mapping const*, std::size_t> mappings_;
  std::map<std::tuple<std::string, std::string, int>, std::size_t> functions_;
  // Files by path and build-id: a name can have belonged to two.
  std::map<std::pair<std::string, bool>, std::unique_ptr<Module>> modules_;
};

}  // namespace stealth::command::profile
