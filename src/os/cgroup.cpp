// See cgroup.hpp. A container often shows its own group as the root of the mount, while /proc/self/cgroup still names
// the path that the host knows: levels that are not there are passed over, and the root is looked at in any case.
#include "os/cgroup.hpp"

#include <cstring>
#include <string_view>

#include "os/internal.hpp"

namespace stealth::os {

struct CgroupMemory::Files {
  char const* limit;
  char const* usage;
  std::string_view droppable;  // the line of memory.stat, with the blank behind the name
};
constinit CgroupMemory::Files const CgroupMemory::kUnified = {"memory.max", "memory.current", "inactive_file "};
constinit CgroupMemory::Files const CgroupMemory::kOld = {"memory.limit_in_bytes", "memory.usage_in_bytes",
                                                          "total_inactive_file "};

namespace {

using FilePath = Path<1100>;  // a group's path and a file's name

// The number behind `key` at the beginning of one of the file's lines. Reads no further than it must, so that such a
// file costs an open, a read and a close, and keeps no more than an unfinished line (malloc's callers have small
// stacks).
bool read_number(char const* path, std::string_view key, std::uint64_t& value) {
  int const file = open_to_read(path);
  if (file < 0) return false;
  char buffer[1024];
  std::size_t length = 0;
  long got = 0;
  bool found = false;
  do {
    got = read_some(file, buffer + length, sizeof buffer - length);
    if (got < 0) break;
    length += static_cast<std::size_t>(got);
    std::string_view text(buffer, length);
    while (!found && !text.empty() && (got == 0 || text.find('\n') != std::string_view::npos)) {
      std::string_view const line = take_until(text, '\n');
      found = before(line, key.size()) == key;
      if (found) value = parse_number(after(line, key.size()));
    }
    std::memmove(buffer, text.data(), text.size());
    length = text.size();
  } while (!found && got > 0 && length < sizeof buffer);
  close_file(file);
  return found;
}

// A limit; kUnlimited where there is none, or no such file.
bool read_limit(char const* path, std::uint64_t& value) {
  if (!read_number(path, {}, value)) return false;
  if (value >= std::uint64_t{1} << 62) value = kUnlimited;  // v1 says "none" by a number near 2^63
  return true;
}

// Whether the comma list of v1 controllers (between the colons of a line of /proc/self/cgroup) names "memory".
bool names_memory(std::string_view list) {
  while (!list.empty()) {
    if (take_until(list, ',') == "memory") return true;
  }
  return false;
}

// A group outside of the process's cgroup namespace: its files, and those of its ancestors, cannot be seen from here.
bool leads_outside(std::string_view group) {
  while (!group.empty()) {
    if (take_until(group, '/') == "..") return true;
  }
  return false;
}

}  // namespace

void CgroupMemory::find_levels(Hierarchy& in, char const* root, char const* group, std::size_t group_length,
                               Files const& files) noexcept {
  std::size_t const root_length = std::strlen(root);
  if (root_length + group_length >= kPathMax || leads_outside({group, group_length})) return;
  std::memcpy(in.path, root, root_length);
  std::memcpy(in.path + root_length, group, group_length);
  std::size_t end = root_length + group_length;
  while (true) {  // from the inside to the root
    while (end > root_length && in.path[end - 1] == '/') --end;
    FilePath path;
    path << std::string_view(in.path, end) << "/" << files.limit;
    std::uint64_t limit = kUnlimited;
    if (read_limit(path.c_str(), limit) && limit != kUnlimited) {
      if (limit < limit_) limit_ = limit;
      if (in.levels < kLevels) in.ends[in.levels++] = static_cast<std::uint16_t>(end);
    }
    if (end == root_length) return;
    while (end > root_length && in.path[end - 1] != '/') --end;
  }
}

bool CgroupMemory::find() noexcept {
  limit_ = kUnlimited;
  unified_.levels = old_.levels = 0;
  char groups[4096];
  long const length = read_file(roots_.groups, groups, sizeof groups);
  if (length <= 0) return false;
  std::string_view rest(groups, static_cast<std::size_t>(length));
  while (!rest.empty()) {
    std::string_view path = take_until(rest, '\n');  // hierarchy:controllers:path
    static_cast<void>(take_until(path, ':'));
    if (path.find(':') == std::string_view::npos) continue;
    std::string_view const controllers = take_until(path, ':');
    if (controllers.empty() && unified_.levels == 0) {
      find_levels(unified_, roots_.unified, path.data(), path.size(), kUnified);
    } else if (names_memory(controllers) && old_.levels == 0) {
      find_levels(old_, roots_.old, path.data(), path.size(), kOld);
    }
  }
  return limit_ != kUnlimited;
}

// Replaces `least` by this level where that has less room.
bool CgroupMemory::read_level(Hierarchy const& in, std::size_t level, Files const& files, std::uint64_t roomy,
                              Reading& least) noexcept {
  auto const read_file_of_level = [&](char const* name, std::string_view key, std::uint64_t& value) {
    FilePath path;
    path << std::string_view(in.path, in.ends[level]) << "/" << name;
    return key.empty() ? read_limit(path.c_str(), value) : read_number(path.c_str(), key, value);
  };
  auto const room = [](Reading const& of) { return of.limit > of.used ? of.limit - of.used : 0; };
  Reading here{};
  if (!read_file_of_level(files.limit, {}, here.limit)) return false;
  if (here.limit == kUnlimited) return true;
  if (!read_file_of_level(files.usage, {}, here.used) || here.used == kUnlimited) return false;
  // Without the droppable pages there is only more room: no need to look where this already is more than enough.
  if (room(here) >= room(least)) return true;
  if (room(here) < roomy) {
    std::uint64_t droppable = 0;
    if (!read_file_of_level("memory.stat", files.droppable, droppable) || droppable == kUnlimited) return false;
    here.used -= droppable < here.used ? droppable : here.used;
  }
  if (room(here) < room(least)) least = here;
  return true;
}

bool CgroupMemory::read(Reading& into, std::uint64_t roomy) const noexcept {
  Reading least = {kUnlimited, 0};
  for (std::size_t i = 0; i < unified_.levels; ++i) {
    if (!read_level(unified_, i, kUnified, roomy, least)) return false;
  }
  for (std::size_t i = 0; i < old_.levels; ++i) {
    if (!read_level(old_, i, kOld, roomy, least)) return false;
  }
  into = least;
  return true;
}

std::uint64_t cgroup_limit() noexcept {
  CgroupMemory memory;
  memory.find();
  return memory.limit();
}

}  // namespace stealth::os
