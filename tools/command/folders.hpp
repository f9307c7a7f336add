// The directories that control pages lie in: stealth-UID in /dev/shm, /run/user/UID or /tmp, here and inside
// containers. One is believed only where nobody but its user can write there; none is reached through a link.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "processes.hpp"

namespace stealth::command {

struct Folder {
  File directory;
  std::string path;
  std::uint32_t owner;   // the user, as the command sees it
  std::uint32_t number;  // the user in the directory's name: inside a container another
};

// The caller's own; for root those of all users.
std::vector<Folder> own_folders();
// Those that a process may have its page in: below its root directory first, where that is another.
std::vector<Folder> folders_of(Process const& process);
// The names in it that begin so.
std::vector<std::string> names_in(Folder const& folder, std::string const& beginning);

}  // namespace stealth::command
