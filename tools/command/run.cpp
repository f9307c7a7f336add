// stealth run: checks what was asked, then becomes the program, with libstealth in front.
#include <sys/types.h>
#include <unistd.h>

#include <algorithm>
#include <cctype>
#include <cerrno>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <string>
#include <utility>
#include <vector>

#include "command.hpp"
#include "config/load.hpp"
#include "config/settings.hpp"
#include "library.hpp"
#include "program.hpp"
#include "program_line.hpp"
#include "settings_view.hpp"

namespace stealth::command {

namespace {

using Assignments = std::vector<std::pair<std::string, std::string>>;  // in order; each name once

// Flags that also work without a value, and what they then say.
constexpr struct {
  char const* name;
  char const* value;
} kBare[] = {{"--profile", "512k"}, {"--guard", "sample"}, {"--stats", "exit"}};

char const* bare_value(std::string const& flag) {
  for (auto const& bare : kBare) {
    if (flag == bare.name) return bare.value;
  }
  return nullptr;
}

std::string flag_of(config::Setting const& setting) {
  std::string flag = "--";
  for (char const c : setting.name()) {
    flag += c == '_' ? '-' : static_cast<char>(std::tolower(static_cast<unsigned char>(c)));
  }
  return flag;
}

std::vector<Flag> make_flags() {
  std::string const own = "Options", settings = "Settings";
  std::vector<Flag> flags = {
      {"--dry-run", Flag::Value::none, "", "print the environment and the command line, and run nothing", own},
      {"--library", Flag::Value::needed, "FILE",
       "the libstealth.so to use (default: $STEALTH_LIBRARY, or the one beside)", own},
      {"--observe", Flag::Value::none, "", "the same as --mode observe", own}};
  for (config::Setting const& setting : config::settings) {
    std::string const name = flag_of(setting);
    char const* const bare = bare_value(name);
    std::string const without = bare == nullptr ? "" : std::string("; alone: ") + bare;
    flags.push_back({name, bare == nullptr ? Flag::Value::needed : Flag::Value::optional, "VALUE",
                     std::string(setting.help) + " (" + std::string(setting.accepted) + without + ")", settings});
  }
  return flags;
}

struct Wanted {
  Assignments assignments;  // as given, a later one in place of an earlier
  std::string library;
  bool dry_run = false;
};

void assign(Assignments& to, std::string_view name, std::string value) {
  auto const known = std::find_if(to.begin(), to.end(), [&](auto const& entry) { return entry.first == name; });
  if (known != to.end()) {
    known->second = std::move(value);
  } else {
    to.emplace_back(name, std::move(value));
  }
}

Wanted read_flags(std::vector<Given> const& given) {
  Wanted wanted;
  config::Config config;
  for (Given const& flag : given) {
    if (flag.flag == "--dry-run") {
      wanted.dry_run = true;
    } else if (flag.flag == "--library") {
      if (flag.value.empty()) throw Failure("run: --library: the name is empty; say --library FILE", Failure::kUsage);
      wanted.library = flag.value;
    } else {
      bool const observe = flag.flag == "--observe";
      std::string const name = observe ? "mode" : flag.flag.substr(2);
      std::string const value = observe ? "observe" : flag.has_value ? flag.value : bare_value(flag.flag);
      set_or_fail(config, name, value);
      assign(wanted.assignments, config::find_setting(name)->variable, value);
    }
  }
  return wanted;
}

// The page that `stealth top` and the others look at is there from the start under `stealth run`.
void want_control(Assignments& assignments) {
  std::string const name(config::find_setting("control")->variable);
  bool const given =
      std::any_of(assignments.begin(), assignments.end(), [&](auto& entry) { return entry.first == name; });
  if (!given && std::getenv(name.c_str()) == nullptr) assign(assignments, name, "on");
}

void check(Program const& program, Library const& library) {
  Findings const found = obstacles(program, library);
  if (found.empty()) return;
  std::string const through = program.scripts.empty() ? "" : " (which runs " + program.path + ")";
  throw Failure(program.image + through + ": " + found[0].found + ": " + found[0].why + "; " + found[0].todo);
}

// As a shell reads it back.
std::string quoted(std::string const& word) {
  auto const plain = [](unsigned char c) { return std::isalnum(c) != 0 || std::strchr("_@%+:,./-", c) != nullptr; };
  if (!word.empty() && std::all_of(word.begin(), word.end(), plain)) return word;
  std::string text = "'";
  for (char const c : word) text += c == '\'' ? std::string("'\\''") : std::string(1, c);
  return text + "'";
}

void print(Assignments const& assignments, std::vector<std::string> const& words) {
  std::string line = std::getenv(kLibraryVariable.data()) == nullptr ? "" : "env -u STEALTH_LIBRARY ";
  for (auto const& [name, value] : assignments) line += name + "=" + quoted(value) + " ";
  for (std::string const& word : words) line += quoted(word) + " ";
  line.back() = '\n';
  std::fputs(line.c_str(), stdout);
}

[[noreturn]] void become(Program const& program, Assignments const& assignments,
                         std::vector<std::string> const& words) {
  for (auto const& [name, value] : assignments) ::setenv(name.c_str(), value.c_str(), 1);
  ::unsetenv(kLibraryVariable.data());  // the command's own; the library would call it unknown
  std::vector<char*> arguments;
  for (std::string const& word : words) arguments.push_back(const_cast<char*>(word.c_str()));
  arguments.push_back(nullptr);
  ::execvp(program.path.c_str(),
           arguments.data());  // the path has a slash; execvp() knows what to do without a #! line
  throw Failure(program.path + ": cannot be run: " + std::strerror(errno) + "; check the file");
}

// What stands behind a flag that also works alone is the program, not the flag's value.
Program find_program_behind(ProgramLine const& line) {
  try {
    return find_program(line.program[0]);
  } catch (Failure const&) {
    Given const last = line.given.empty() ? Given{} : line.given.back();
    config::Config config;
    config::Problem problem;
    if (last.has_value || bare_value(last.flag) == nullptr ||
        !config::set(config, last.flag.substr(2), line.program[0], problem))
      throw;
    throw Failure(line.program[0] + ": no such program; a value of " + last.flag + " is joined to it: " + last.flag +
                  "=" + line.program[0]);
  }
}

Status run(ProgramLine const& line) {
  Wanted wanted = read_flags(line.given);
  if (line.program.empty()) {
    throw Failure("run: no program given; say stealth run [OPTION…] [--] PROGRAM [ARG…]", Failure::kUsage);
  }
  Library const library = find_library(wanted.library);
  Program const program = find_program_behind(line);
  check(program, library);
  want_control(wanted.assignments);
  char const* const before = std::getenv("LD_PRELOAD");
  assign(wanted.assignments, "LD_PRELOAD", preload_with(library, before == nullptr ? "" : before));
  if (!wanted.dry_run) become(program, wanted.assignments, line.program);
  print(wanted.assignments, line.program);
  return 0;
}

}  // namespace

std::vector<Flag> const& run_flags() {
  static std::vector<Flag> const flags = make_flags();
  return flags;
}

void add_run(CLI::App& app, ProgramLine const& line, Status& status) {
  CLI::App& run_command = *app.add_subcommand("run", "run a program under libstealth");
  show_flags(run_command, run_flags(), "stealth run [OPTION…] [--] PROGRAM [ARG…]");
  run_command.callback([&] { status = run(line); });
}

}  // namespace stealth::command
