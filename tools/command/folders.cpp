// See folders.hpp.
#include "folders.hpp"

#include <dirent.h>
#include <fcntl.h>
#include <linux/openat2.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <algorithm>
#include <memory>

namespace stealth::command {
namespace {

using Users = std::vector<std::uint32_t>;

constexpr char kPrefix[] = "stealth-";

// A directory to begin at: the command's own root, or that of a process elsewhere.
struct Root {
  File directory;
  std::string path;  // "" for the command's own
  bool own;
};

// Links below another root lead to where they would lead its processes, never out of it.
File open_below(Root const& root, std::string const& path) {
  if (root.own) return File(open(("/" + path).c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC));
  open_how how{};
  how.flags = O_RDONLY | O_DIRECTORY | O_CLOEXEC;
  how.resolve = RESOLVE_IN_ROOT | RESOLVE_NO_MAGICLINKS;
  return File(static_cast<int>(syscall(SYS_openat2, root.directory.number(), path.c_str(), &how, sizeof how)));
}

std::vector<std::string> names_in(int directory, std::string const& beginning) {
  std::vector<std::string> names;
  int const own = openat(directory, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);  // with a place of its own to read on at
  if (own < 0) return names;
  std::unique_ptr<DIR, int (*)(DIR*)> const stream(fdopendir(own), closedir);
  while (dirent const* const entry = stream ? readdir(stream.get()) : nullptr) {
    if (std::string_view(entry->d_name).substr(0, beginning.size()) == beginning) names.emplace_back(entry->d_name);
  }
  std::sort(names.begin(), names.end());
  return names;
}

// `owners`: whose are wanted; empty: everybody's.
void add_folder(Root const& root, std::string const& place, File const& above, std::string const& name,
                Users const& owners, std::vector<Folder>& found) {
  auto const number = whole_number(std::string_view(name).substr(sizeof kPrefix - 1));
  if (!number || *number > UINT32_MAX) return;
  File directory(openat(above.number(), name.c_str(), O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC));
  struct stat facts {};
  if (!directory.open() || fstat(directory.number(), &facts) != 0 || (facts.st_mode & 077) != 0) return;
  if (root.own && facts.st_uid != *number) return;
  if (!owners.empty() && std::find(owners.begin(), owners.end(), facts.st_uid) == owners.end()) return;
  found.push_back(
      {std::move(directory), root.path + "/" + place + "/" + name, facts.st_uid, static_cast<std::uint32_t>(*number)});
}

// `named`: the users by the names of the directories; empty: whatever names there are.
void add_place(Root const& root, std::string const& place, Users const& named, Users const& owners,
               std::vector<Folder>& found) {
  File const above = open_below(root, place);
  if (!above.open()) return;
  if (named.empty()) {
    for (std::string const& name : names_in(above.number(), kPrefix)) {
      add_folder(root, place, above, name, owners, found);
    }
  }
  for (std::uint32_t const user : named) {
    add_folder(root, place, above, kPrefix + std::to_string(user), owners, found);
  }
}

void add_places(Root const& root, Users const& named, Users const& owners, std::vector<Folder>& found) {
  add_place(root, "dev/shm", named, owners, found);
  std::vector<std::string> homes;
  for (std::uint32_t const user : named) homes.push_back(std::to_string(user));
  if (File const above = open_below(root, "run/user"); named.empty() && above.open()) {
    homes = names_in(above.number(), "");
  }
  for (std::string const& home : homes) {
    if (whole_number(home)) add_place(root, "run/user/" + home, named, owners, found);
  }
  add_place(root, "tmp", named, owners, found);
}

// Another user's directories are for root alone, who could read anything: believed, they would let users speak to him
// in the name of others' processes. So a directory's owner must be among the process's users.
Root own_root() { return {File(), "", true}; }

}  // namespace

std::vector<Folder> own_folders() {
  std::vector<Folder> found;
  Users const me = geteuid() == 0 ? Users{} : Users{geteuid()};
  add_places(own_root(), me, me, found);
  return found;
}

std::vector<Folder> folders_of(Process const& process) {
  std::vector<Folder> found;
  std::string const path = "/proc/" + std::to_string(process.pid) + "/root";
  std::string const leads = proc_link(process.pid, "root");
  if (!leads.empty() && (leads != proc_link(0, "root") || !shares_namespace(process.pid, "mnt"))) {
    Root const elsewhere{File(open(path.c_str(), O_PATH | O_DIRECTORY | O_CLOEXEC)), path, false};
    bool const same_names = shares_namespace(process.pid, "user");
    if (elsewhere.directory.open()) {
      add_places(elsewhere, same_names ? process.users : Users{}, process.users, found);
    }
  }
  add_places(own_root(), process.users, process.users, found);
  return found;
}

std::vector<std::string> names_in(Folder const& folder, std::string const& beginning) {
  return names_in(folder.directory.number(), beginning);
}

}  // namespace stealth::command
