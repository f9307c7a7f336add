// The dump of a running process.
#include "dump_of.hpp"

#include "../command.hpp"

namespace stealth::command::profile {

std::string dump_of(int pid, bool) {
  throw Failure("profile: process " + std::to_string(pid) +
                ": it cannot be asked for a dump; name a file that it wrote (STEALTH_PROFILE=SIZE:FILE)");
}

}  // namespace stealth::command::profile
