// The table of settings as a program started in this environment would see it: for `stealth settings`, `run` and
// `doctor`. The parser is the library's own.
#pragma once

#include <string>
#include <string_view>
#include <vector>

#include "config/config.hpp"
#include "config/settings.hpp"

namespace stealth::command {

// The variable that names the library to the command; none of the library's.
inline constexpr std::string_view kLibraryVariable = "STEALTH_LIBRARY";

struct SettingView {
  config::Setting const* setting = nullptr;
  std::string value;       // in force: the default where the environment's is refused
  std::string given;       // in the environment
  bool is_given = false;   // it stands in the environment, refused or not
  bool is_default = true;  // the value in force is
  std::string refused;     // why, as the library says it; empty: it is not
};

struct UnknownVariable {
  std::string name, nearest;
};

struct EnvironmentView {
  config::Config config;
  std::vector<SettingView> settings;  // all, in the order of the table
  std::vector<UnknownVariable> unknown;
};

// The environment is a null-terminated list of NAME=value.
EnvironmentView view_environment(char const* const* environment);

// One setting's value in `config`, as the parser takes it.
std::string print_value(config::Setting const& setting, config::Config const& config);

// Changes `config`, or fails with the parser's line (usage).
void set_or_fail(config::Config& config, std::string_view name, std::string_view value);

// Values that complete a word: those that the accepted text names and the parser takes.
std::vector<std::string> words_of(config::Setting const& setting);

}  // namespace stealth::command
