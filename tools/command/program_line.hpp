// The command lines of `stealth run` and `stealth doctor`: options, then a program with arguments of its own, which may
// look like options, or like another subcommand's name. That is why they are taken apart here; the CLI library sees
// these options only for --help.
#pragma once

#include <CLI/CLI.hpp>

#include <string>
#include <vector>

namespace stealth::command {

struct Flag {
  enum class Value { none, optional, needed };  // optional: only by --flag=VALUE
  std::string name;                             // with the dashes
  Value value = Value::none;
  std::string value_name, help, group;
};

struct Given {
  std::string flag;
  bool has_value = false;
  std::string value;
};

struct ProgramLine {
  std::vector<Given> given;          // in the order in which they came
  std::vector<std::string> program;  // and its arguments
};

// Takes options and program off `words` (the whole command line but the command's own name), where the subcommand is
// one that has a program; leaves the subcommand, and --help if that was asked. Fails with one line (usage).
ProgramLine take_program_line(std::vector<std::string>& words);

// So that --help tells them; `usage` is what it says behind "Usage: ".
void show_flags(CLI::App& subcommand, std::vector<Flag> const& flags, std::string const& usage);

std::vector<Flag> const& run_flags();
std::vector<Flag> const& doctor_flags();

}  // namespace stealth::command
