// The shared libraries that a program links, found as glibc's loader would find them, without starting anything.
#pragma once

#include <string>
#include <vector>

#include "elf_file.hpp"

namespace stealth::command {

struct Linked {
  std::vector<ElfFile> libraries;    // each once, breadth first: the loader's order
  std::vector<std::string> missing;  // names that lead nowhere
};

Linked linked_libraries(ElfFile const& program);

// Where a library of this name would come from for a program of this kind; empty: nowhere.
std::string find_shared_library(std::string const& name, ElfKind const& kind);

}  // namespace stealth::command
