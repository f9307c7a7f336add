// What an ELF file says of itself, as far as it matters for preloading: read once, with libelf, and closed again.
// Whatever cannot be read counts as not there; the file is somebody else's and may be damaged.
#pragma once

#include <cstdint>
#include <optional>
#include <set>
#include <string>
#include <vector>

namespace stealth::command {

struct ElfKind {
  unsigned char bits = 0;  // ELFCLASS…
  unsigned char order = 0;
  std::uint16_t machine = 0;
  friend bool operator==(ElfKind const&, ElfKind const&) = default;
};

struct ElfFile {
  std::string path;  // as it was opened
  ElfKind kind;
  std::uint16_t type = 0;   // ET_…
  bool is_program = false;  // marked as a position-independent executable, or ET_EXEC
  bool has_dynamic = false;
  bool has_symbols = false;  // the full table: it is not stripped
  bool is_go = false;
  bool binds_itself = false;  // DT_SYMBOLIC: its own names come first for it
  std::string interpreter, soname, rpath, runpath;
  std::vector<std::string> needed;
  std::set<std::string> defined, imported;  // of the dynamic symbols; versions left out
  std::set<std::string> hidden;             // functions that the full table alone defines

  [[nodiscard]] bool defines(std::string const& name) const { return defined.contains(name) || hidden.contains(name); }
};

// Nothing where it is no ELF file that can be read.
std::optional<ElfFile> read_elf(std::string const& path);

// "x86-64, 64 bit"
std::string describe(ElfKind const& kind);

// Whether the text occurs anywhere in the file.
bool file_contains(std::string const& path, std::string_view text);

}  // namespace stealth::command
