// What the writers share: figures with units, and text that others can read.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>

#include "dump.hpp"

namespace stealth::command::profile {

// "1.5 MiB", "20 B"
std::string bytes_text(std::int64_t bytes);
// Bytes of a heap, nanoseconds of stalls: "1.5 ms".
std::string amount_text(Kind kind, std::int64_t amount);
// What is not UTF-8, as names of files need not be, becomes question marks.
std::string valid_utf8(std::string_view text);

}  // namespace stealth::command::profile
