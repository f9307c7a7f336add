// One mapped file: where its ELF file and its debug file are now, and what they say about an address.
//
// A file is believed when its build-id is the one in the dump, or when the dump tells none. Everything is found on this
// machine; no network is asked.
#pragma once

#include <elfutils/libdwfl.h>

#include <cstdint>
#include <memory>
#include <optional>
#include <string>

#include "debug_info.hpp"
#include "dump.hpp"
#include "options.hpp"

namespace stealth::command::profile {

class Module {
 public:
  // base: where the file's first page was mapped, if it was.
  Module(Mapping const& mapping, std::optional<std::uint64_t> base, SymbolOptions const& options);

  // The functions at an address of the mapping, the innermost first; empty: nothing is known of it.
  std::vector<Frame> frames_at(Mapping const& mapping, std::uint64_t address);

  // Why nothing is known of any: "no file of this build-id". Empty: something was found.
  [[nodiscard]] std::string const& trouble() const { return trouble_; }

 private:
  struct End {
    void operator()(Dwfl* dwfl) const { dwfl_end(dwfl); }
  };

  bool open(std::string const& path, bool debug_only);
  bool open_by_path(Mapping const& mapping, SymbolOptions const& options);
  bool open_by_build_id(std::string const& build_id, SymbolOptions const& options);
  [[nodiscard]] std::optional<GElf_Addr> in_module(Mapping const& mapping, std::uint64_t address) const;
  [[nodiscard]] std::optional<Frame> symbol_at(GElf_Addr place) const;

  std::string debug_path_;  // as libdwfl wants it
  char* debug_path_text_ = nullptr;
  Dwfl_Callbacks callbacks_{};
  std::unique_ptr<Dwfl, End> dwfl_;
  Dwfl_Module* module_ = nullptr;
  bool debug_only_ = false;  // a debug file, whose program headers tell no offsets
  std::optional<std::uint64_t> base_;
  std::unique_ptr<DebugInfo> debug_info_;
  bool debug_info_sought_ = false;
  std::string trouble_;
};

}  // namespace stealth::command::profile
