// A change of one setting, as `stealth set` and `stealth top` make it.
#pragma once

#include <chrono>
#include <string>

#include "wishes.hpp"

namespace stealth::command {

struct Change {
  std::string variable;  // STEALTH_NAME
  std::string value;     // as it was typed
  std::string shown;     // as the settings' table prints it
};

// NAME=VALUE, checked; Failure (usage) says what is wrong and what is accepted.
Change parse_change(std::string const& text);
// Failure says why it was refused, or not answered.
void apply(Process const& process, Change const& change, std::chrono::milliseconds patience = kPatience);

}  // namespace stealth::command
