// Tells a process what to do, through its control page: writes a wish, wakes whoever waits for one, and waits for the
// answer. A wish that is not answered in time is withdrawn: it does not take effect later.
#pragma once

#include <chrono>
#include <string>

#include "page_file.hpp"
#include "processes.hpp"

namespace stealth::command {

struct Reply {
  int error = 0;     // a stealth_error; 0: done
  std::string text;  // why not, escaped
};

inline constexpr std::chrono::milliseconds kPatience{2000};

// `text` as observe::Wish has it: "set NAME=VALUE". Failure where there is no answer, and says why as far as that can
// be told.
Reply wish(Process const& process, std::string const& text, std::chrono::milliseconds patience = kPatience);

}  // namespace stealth::command
