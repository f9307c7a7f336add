// The second half of a dump: what was mapped where.
#include "mappings.hpp"

#include <algorithm>
#include <map>

namespace stealth::command::profile {
namespace {

constexpr std::string_view kDeleted = " (deleted)";

// The kernel writes a newline in a path as \012.
std::string unescaped(std::string_view path) {
  std::string result;
  for (std::size_t i = 0; i < path.size(); ++i) {
    if (path.substr(i, 4) == "\\012") {
      result += '\n';
      i += 3;
    } else {
      result += path[i];
    }
  }
  return result;
}

Mapping read_mapping(Lines const& lines, std::string_view line) {
  Mapping mapping;
  Pieces pieces(line);
  auto const start = pieces.hex();
  bool const dash = pieces.literal("-");
  auto const end = pieces.hex();
  pieces.blanks();
  auto const rights = pieces.word();
  pieces.blanks();
  auto const offset = pieces.hex();
  pieces.blanks();
  auto const device = pieces.word();
  pieces.blanks();
  auto const inode = pieces.decimal();
  if (!start || !dash || !end || rights.size() != 4 || !offset || device.find(':') == std::string_view::npos || !inode)
    lines.fail("neither a line of /proc/PID/maps nor 'build-id: HEX PATH'");
  if (*start >= *end) lines.fail("a mapping that ends before it begins");
  pieces.blanks();
  mapping.start = *start;
  mapping.end = *end;
  mapping.offset = *offset;
  mapping.executable = rights[2] == 'x';
  auto path = pieces.rest();
  if (path.ends_with(kDeleted)) {
    mapping.deleted = true;
    path.remove_suffix(kDeleted.size());
  }
  mapping.path = unescaped(path);
  return mapping;
}

std::string read_build_id(Lines const& lines, Pieces& pieces) {
  pieces.blanks();
  std::string id(pieces.word());
  std::transform(id.begin(), id.end(), id.begin(),
                 [](char c) { return c >= 'A' && c <= 'F' ? static_cast<char>(c - 'A' + 'a') : c; });
  if (id.size() < 4 || id.size() % 2 != 0 || id.find_first_not_of("0123456789abcdef") != std::string::npos)
    lines.fail("a build-id is an even number of hexadecimal digits");
  return id;
}

}  // namespace

std::vector<Mapping> read_mappings(Lines& lines) {
  std::vector<Mapping> mappings;
  std::map<std::string, std::string> ids;
  while (auto const line = lines.next()) {
    if (line->empty()) continue;
    Pieces pieces(*line);
    if (!pieces.literal("build-id:")) {
      mappings.push_back(read_mapping(lines, *line));
      continue;
    }
    auto const id = read_build_id(lines, pieces);
    pieces.blanks();
    auto path = pieces.rest();
    if (path.ends_with(kDeleted)) path.remove_suffix(kDeleted.size());
    if (path.empty()) lines.fail("a build-id without a path");
    auto const [known, fresh] = ids.emplace(unescaped(path), id);
    if (!fresh && known->second != id) lines.fail("another build-id for " + std::string(path) + " than above");
  }
  if (mappings.empty()) lines.cut_short("the first mapping");
  for (auto& mapping : mappings)
    if (auto const id = ids.find(mapping.path); id != ids.end()) mapping.build_id = id->second;
  std::stable_sort(mappings.begin(), mappings.end(),
                   [](Mapping const& a, Mapping const& b) { return a.start < b.start; });
  return mappings;
}

}  // namespace stealth::command::profile
