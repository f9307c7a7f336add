// The second half of a dump: /proc/PID/maps, then `build-id: HEX PATH` for each mapped file.
#pragma once

#include <vector>

#include "dump.hpp"
#include "lines.hpp"

namespace stealth::command::profile {

// Reads to the end of the text. By address; the build-ids are in the mappings.
std::vector<Mapping> read_mappings(Lines& lines);

}  // namespace stealth::command::profile
