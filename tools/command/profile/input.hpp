// A dump's text from a file, which may be compressed with gzip.
#pragma once

#include <string>

namespace stealth::command::profile {

std::string read_input(std::string const& path);

}  // namespace stealth::command::profile
