// What machine.cpp and process_limits.cpp share: figures of /proc as text and numbers, and the looks at the process.
#pragma once

#include <cstdint>
#include <string>

#include "finding.hpp"

namespace stealth::command {

std::string first_line(char const* path);        // empty where it cannot be read
std::uint64_t number_in(char const* path);       // 0 where there is none
std::uint64_t meminfo(std::string const& name);  // bytes; 0 where it is not there
std::string size_text(std::uint64_t bytes);      // "1.9 GiB"

void look_at_limits(Findings& found);
void look_at_directories(Findings& found);
void look_at_process(Findings& found);

}  // namespace stealth::command
