// See program.hpp.
#include "program.hpp"

#include <elf.h>
#include <sys/prctl.h>
#include <sys/stat.h>
#include <sys/statvfs.h>
#include <sys/xattr.h>
#include <unistd.h>

#include <cerrno>
#include <cstdlib>
#include <cstring>
#include <filesystem>
#include <fstream>
#include <sstream>

#include "command.hpp"

namespace stealth::command {

namespace {

constexpr int kMostScripts = 5;  // more levels of #! the kernel does not follow
constexpr std::size_t kHeadBytes = 256;

bool is_directory(std::string const& path) {
  struct stat facts;
  return ::stat(path.c_str(), &facts) == 0 && S_ISDIR(facts.st_mode);
}

bool can_execute(std::string const& path) { return !is_directory(path) && ::access(path.c_str(), X_OK) == 0; }

// As execvp() does it: the first in PATH that can be executed. Empty: none.
std::string search_path(std::string const& name, std::string& refused) {
  char const* const variable = std::getenv("PATH");
  std::string_view rest = variable == nullptr ? "/bin:/usr/bin" : variable;
  for (bool more = true; more;) {
    std::size_t const end = rest.find(':');
    std::string const directory(rest.substr(0, end));
    more = end != std::string_view::npos;
    if (more) rest.remove_prefix(end + 1);
    std::string const candidate = (directory.empty() ? "." : directory) + "/" + name;
    if (can_execute(candidate)) return candidate;
    struct stat facts;
    if (refused.empty() && ::stat(candidate.c_str(), &facts) == 0 && S_ISREG(facts.st_mode)) refused = candidate;
  }
  return {};
}

[[noreturn]] void fail_mode(std::string const& path) {
  throw Failure(path + ": not executable; check its mode (chmod +x)");
}

void check_can_execute(std::string const& path) {
  struct stat facts;
  if (::stat(path.c_str(), &facts) != 0) {
    bool const absent = errno == ENOENT || errno == ENOTDIR;
    throw Failure(path + (absent ? ": no such program; check the name"
                                 : std::string(": ") + std::strerror(errno) + "; check the rights of its directories"));
  }
  if (S_ISDIR(facts.st_mode)) throw Failure(path + ": a directory, not a program; name a file in it");
  if (!S_ISREG(facts.st_mode) || ::access(path.c_str(), X_OK) != 0) fail_mode(path);
}

std::string locate(std::string const& name) {
  if (name.empty()) throw Failure("'': no such program; the name is empty");
  if (name.find('/') != std::string::npos) {
    check_can_execute(name);
    return name;
  }
  std::string refused;
  std::string found = search_path(name, refused);
  if (!found.empty()) return found;
  if (!refused.empty()) fail_mode(refused);
  throw Failure(name + ": no such program; check the name and the PATH");
}

// The first words of a #! line.
std::vector<std::string> words_of_line(std::string_view head) {
  std::istringstream line{std::string(head.substr(2, head.find('\n') - 2))};
  std::vector<std::string> words;
  for (std::string word; line >> word;) words.push_back(word);
  return words;
}

// What `env` of a #! line runs: its first word that is neither an option nor an assignment. Empty: none.
std::string program_of_env(std::vector<std::string> const& words) {
  for (std::size_t i = 1; i < words.size(); ++i) {
    bool const other = words[i].starts_with("-") || words[i].find('=') != std::string::npos;
    if (words[i] == "-u" || words[i] == "-C") ++i;
    if (!other) return words[i];
  }
  return {};
}

// The next file on the way to the image: the interpreter of a script. Empty: `path` is no script.
std::string next_of(std::string const& path, std::string_view head) {
  if (head.starts_with("#!")) {
    std::vector<std::string> const words = words_of_line(head);
    if (words.empty()) throw Failure(path + ": its #! line names no interpreter; mend the line");
    bool const is_env = std::filesystem::path(words[0]).filename() == "env";
    std::string const named = is_env ? program_of_env(words) : std::string{};
    try {
      return named.empty() ? locate(words[0]) : locate(named);
    } catch (Failure const& failure) {
      throw Failure(path + ": the interpreter of its #! line: " + failure.what());
    }
  }
  if (head.starts_with(ELFMAG)) return {};
  if (head.find('\0') != std::string_view::npos) {
    throw Failure(path + ": neither an ELF file nor a script; libstealth is for programs of Linux");
  }
  return "/bin/sh";  // as execvp() takes what has no #! line
}

bool identity_can_change(std::string const& image) {
  struct statvfs system;
  bool const ignored = ::statvfs(image.c_str(), &system) == 0 && (system.f_flag & ST_NOSUID) != 0;
  return !ignored && ::prctl(PR_GET_NO_NEW_PRIVS, 0, 0, 0, 0) == 0;
}

std::string loader_of(std::string const& interpreter) { return std::filesystem::path(interpreter).filename().string(); }

bool is_glibc_loader(std::string const& name) {
  return name.starts_with("ld-linux") || name.starts_with("ld64.so") || name == "ld.so.1";
}

// What keeps this kind of file from being preloaded at all; it is described in the order in which it is found.
void check_form(ElfFile const& elf, Library const& library, Findings& found) {
  auto const bad = [&](char const* what, std::string is, std::string why, std::string todo) {
    found.push_back({Level::bad, what, std::move(is), std::move(why), std::move(todo)});
  };
  if (!(elf.kind == library.kind)) {
    bad("machine", describe(elf.kind),
        "libstealth was built for " + describe(library.kind) + ", and the loader takes only what fits the program",
        "use a libstealth that was built for this program's machine (--library)");
    return;
  }
  if (elf.type != ET_EXEC && elf.type != ET_DYN) {
    bad("form", "an object file", "it is no program", "link it first");
    return;
  }
  std::string const loader = loader_of(elf.interpreter);
  if (elf.interpreter.empty() && is_glibc_loader(elf.soname)) return;  // the loader itself, as a program
  if (elf.interpreter.empty() && elf.has_dynamic && !elf.is_program) {
    bad("form", "a shared library", "it is no program", "name the program that uses it");
  } else if (elf.interpreter.empty()) {
    bad("linking", elf.is_go ? "static (Go)" : "static",
        "no dynamic loader runs that would read LD_PRELOAD" +
            std::string(elf.is_go ? ", and Go brings its own memory management" : ""),
        "link it dynamically");
  } else if (!is_glibc_loader(loader)) {
    bool const is_musl = loader.starts_with("ld-musl");
    bad("C library", is_musl ? "musl (" + elf.interpreter + ")" : "loaded by " + elf.interpreter,
        "libstealth is built for glibc and cannot be loaded by another C library",
        "use a build of the program for glibc");
  } else if (::access(elf.interpreter.c_str(), X_OK) != 0) {
    bad("loader", elf.interpreter + " is missing", "the program cannot start", "install the C library that it wants");
  }
}

}  // namespace

std::string changes_identity(std::string const& image) {
  struct stat facts;
  if (::stat(image.c_str(), &facts) != 0 || !identity_can_change(image)) return {};
  if ((facts.st_mode & S_ISUID) != 0 && facts.st_uid != ::getuid()) return "set-uid";
  bool const set_gid = (facts.st_mode & (S_ISGID | S_IXGRP)) == (S_ISGID | S_IXGRP);
  if (set_gid && facts.st_gid != ::getgid()) return "set-gid";
  bool const has_capabilities = ::getxattr(image.c_str(), "security.capability", nullptr, 0) > 0;
  return has_capabilities && ::getuid() != 0 ? "file capabilities" : "";
}

bool gives_rights(std::string const& image) {
  struct stat facts;
  return ::stat(image.c_str(), &facts) == 0 && (facts.st_mode & (S_ISUID | S_ISGID)) != 0;
}

Program find_program(std::string const& name) {
  Program program;
  program.path = locate(name);
  program.image = program.path;
  bool is_elf = false;
  for (int level = 0;; ++level) {
    std::ifstream file(program.image, std::ios::binary);
    std::string head(kHeadBytes, '\0');
    file.read(head.data(), static_cast<std::streamsize>(head.size()));
    head.resize(static_cast<std::size_t>(file.gcount()));
    is_elf = head.starts_with(ELFMAG);
    bool const is_readable = file.is_open() && ::access(program.image.c_str(), R_OK) == 0;
    std::string const next = is_readable ? next_of(program.image, head) : std::string{};
    if (next.empty()) break;
    if (level == kMostScripts)
      throw Failure(program.path + ": scripts that run scripts without end; mend the #! lines");
    program.scripts.push_back(program.image);
    program.image = next;
  }
  program.elf = read_elf(program.image);
  if (!program.elf && is_elf) throw Failure(program.image + ": a damaged ELF file; install it anew");
  return program;
}

Findings obstacles(Program const& program, Library const& library) {
  Findings found;
  if (program.elf) check_form(*program.elf, library, found);
  std::string const identity = changes_identity(program.image);
  if (!identity.empty()) {
    found.push_back(
        {Level::bad, "identity", identity,
         "the loader of a program that gains rights ignores LD_PRELOAD outside of the system's own directories",
         "run a copy without these rights, or start it as the user whose rights it takes"});
  }
  return found;
}

}  // namespace stealth::command
