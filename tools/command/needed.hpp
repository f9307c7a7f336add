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

}  // namespace stealth::command
