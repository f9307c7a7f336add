// The settings in force, and the one place where they become what the rooms below work with. Knows neither where they
// came from (the environment: preload/start.cpp; a running program: api.cpp) nor what is only read at start.
#pragma once

#include <string_view>

#include "config/config.hpp"
#include "config/line.hpp"
#include "stealth/stealth.h"

namespace stealth::live {

// At start, before other threads: these are the settings. Puts nothing in force yet.
void begin(config::Config const& settings) noexcept;
// Joins the group that they name, and puts in force what can be changed later, too.
void put_in_force() noexcept;

// Changes one setting, by any spelling of its name that config::find_setting() knows: in force when it returns, for
// threads that wait, too. STEALTH_OK, or why not, and nothing has changed. Any thread; waits for nobody but another
// call of it, and allocates nothing.
[[nodiscard]] stealth_error set(std::string_view name, std::string_view value) noexcept;
// What set() would answer, with the reason in words where that is not STEALTH_OK.
[[nodiscard]] stealth_error check(std::string_view name, std::string_view value, config::Line& why) noexcept;

// Who turns the profile on and off, where there is one: told of STEALTH_PROFILE as it changes. Before other threads.
void profile_by(void (*each)(std::uint64_t interval) noexcept) noexcept;
[[nodiscard]] config::Profile profile() noexcept;

// All settings in force: STEALTH_NAME=value, a line each.
void print(config::Line& into) noexcept;

// A change that was under way in a thread that is not there is brought to its end.
void after_fork_in_child() noexcept;

}  // namespace stealth::live
