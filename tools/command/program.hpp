// The program that a command line starts: found as execvp() finds it, through #! lines to what the kernel executes.
#pragma once

#include <optional>
#include <string>
#include <vector>

#include "elf_file.hpp"
#include "finding.hpp"
#include "library.hpp"

namespace stealth::command {

struct Program {
  std::string path;                  // what execve() is given; has a slash
  std::vector<std::string> scripts;  // that lead to `image`: the program itself, and interpreters that are scripts, too
  std::string image;                 // the file that the kernel executes in the end
  std::optional<ElfFile> elf;        // of the image; nothing where it can be executed but not read
};

// Fails with one line where there is no such program, or it cannot be executed.
Program find_program(std::string const& name);

// Why LD_PRELOAD would not bring the library into it; empty where it would. All are Level::bad.
Findings obstacles(Program const& program, Library const& library);

// Whether its loader would ignore LD_PRELOAD, for the caller: "set-uid", "set-gid", "file capabilities" or empty.
std::string changes_identity(std::string const& image);

// Whether it has a set-uid or set-gid bit, whoever calls.
bool gives_rights(std::string const& image);

}  // namespace stealth::command
