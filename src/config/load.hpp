// From a name and a value, or a whole environment, to a Config. Prints nothing: finished lines go to a sink, which puts
// "stealth: " in front of them and writes them out. The same for settings changed later in a running process.
#pragma once

#include <string_view>

#include "config/config.hpp"
#include "config/fault.hpp"
#include "config/line.hpp"
#include "config/settings.hpp"

namespace stealth::config {

// Why a setting was refused. Views into what was given to set().
struct Problem {
  Why why = Why::fine;
  Setting const* setting = nullptr;  // the one meant; for Why::unknown_name the nearest
  std::string_view name{};
  std::string_view value{};
  std::string_view item{};  // the part of the value at fault, or empty
};

// Sets one setting. False: `problem` says why, and `config` stays as it was. Whether the setting may still be changed
// (Setting::live) is for the caller to look at.
bool set(Config& config, std::string_view name, std::string_view value, Problem& problem) noexcept;

// STEALTH_CAPACITY='12x': not a size; accepted: bytes with k, m, g or t, N%, auto, none
void describe(Problem const& problem, Line& line) noexcept;

struct Sink {
  void (*take)(void* context, std::string_view line) noexcept = nullptr;  // null: nobody listens
  void* context = nullptr;
};

struct Origin {
  char const* const* environment = nullptr;  // "NAME=value" each, a null pointer last; of equal names the first counts
  std::string_view program{};                // path or name; empty: not known, then STEALTH_ONLY excludes nobody
  bool secure = false;                       // set-uid or the like: nothing is read, the defaults stay
};

// Applies every STEALTH_* variable to `config`, which holds the defaults before, and gives the sink one line for each
// that is unknown or refused. No lines under STEALTH_VERBOSE=0, nor in a program that STEALTH_ONLY
// leaves out. False when it does: then everything is to be passed through.
bool load(Config& config, Origin const& origin, Sink sink) noexcept;

}  // namespace stealth::config
