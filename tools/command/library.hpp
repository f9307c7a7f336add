// Where libstealth.so is, and how it gets into LD_PRELOAD.
#pragma once

#include <string>
#include <string_view>

#include "elf_file.hpp"

namespace stealth::command {

struct Library {
  std::string path;  // absolute, without blanks and colons
  ElfKind kind;
};

// `named`: by --library; empty: by STEALTH_LIBRARY, else beside the command in its build directory, else where the
// command was installed. Fails with one line.
Library find_library(std::string const& named);

// `before` (LD_PRELOAD as it is) with the library in front, and not twice.
std::string preload_with(Library const& library, std::string_view before);

}  // namespace stealth::command
