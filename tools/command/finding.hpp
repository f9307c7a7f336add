// One line of `stealth doctor`: what was looked at, what is so, why that matters, what to do.
#pragma once

#include <string>
#include <vector>

namespace stealth::command {

enum class Level { ok, warn, bad };

struct Finding {
  Level level = Level::ok;
  std::string what;   // a few words, the same in every run: "interpreter"
  std::string found;  // "static"
  std::string why;    // empty for what is fine
  std::string todo;
};
using Findings = std::vector<Finding>;

}  // namespace stealth::command
