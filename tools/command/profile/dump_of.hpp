// The dump of a running process.
#pragma once

#include <string>

namespace stealth::command::profile {

// Its text, written by the process itself when it is asked to. Throws Failure.
std::string dump_of(int pid, bool stalls);

}  // namespace stealth::command::profile
