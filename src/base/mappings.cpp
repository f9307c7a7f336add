// See mappings.hpp.
#include "base/mappings.hpp"

#include <cstring>

#include "os/os.hpp"

namespace stealth {

namespace {

bool parse_hex(std::string_view& text, std::uint64_t& number) noexcept {
  number = 0;
  std::size_t digits = 0;
  for (; digits < text.size(); ++digits) {
    char const c = text[digits];
    int const digit = c >= '0' && c <= '9' ? c - '0' : c >= 'a' && c <= 'f' ? c - 'a' + 10 : -1;
    if (digit < 0) break;
    number = number << 4 | static_cast<unsigned>(digit);
  }
  text.remove_prefix(digits);
  return digits != 0;
}

// The next word of the line, taken off it.
std::string_view take_word(std::string_view& line) noexcept {
  while (!line.empty() && line.front() == ' ') line.remove_prefix(1);
  std::size_t length = 0;
  while (length < line.size() && line[length] != ' ') ++length;
  std::string_view const word(line.data(), length);
  line.remove_prefix(length);
  return word;
}

// START-END permissions OFFSET device inode   PATH
bool parse(std::string_view line, Mapping& mapping) noexcept {
  std::string_view range = take_word(line);
  if (!parse_hex(range, mapping.start) || range.empty()) return false;
  range.remove_prefix(1);
  std::string_view const permissions = take_word(line);
  std::string_view offset = take_word(line);
  if (!parse_hex(range, mapping.end) || !parse_hex(offset, mapping.offset) || permissions.size() < 3) return false;
  mapping.readable = permissions[0] == 'r';
  mapping.executable = permissions[2] == 'x';
  take_word(line);
  take_word(line);
  while (!line.empty() && line.front() == ' ') line.remove_prefix(1);
  mapping.path = line;
  return true;
}

}  // namespace

void for_each_mapping(void* context, bool (*each)(void*, Mapping const&) noexcept) noexcept {
  int const maps = os::open_to_read("/proc/self/maps");
  if (maps < 0) return;
  char piece[2048];
  std::size_t filled = 0;
  bool more = true;
  for (long got = 0; more && (got = os::read_some(maps, piece + filled, sizeof piece - filled)) > 0;) {
    filled += static_cast<std::size_t>(got);
    std::size_t begin = 0;
    for (std::size_t at = 0; more && at < filled; ++at) {
      if (piece[at] != '\n') continue;
      Mapping mapping;
      if (parse({piece + begin, at - begin}, mapping)) more = each(context, mapping);
      begin = at + 1;
    }
    if (begin == 0 && filled == sizeof piece) begin = filled;  // the rest of such a line is no mapping either
    std::memmove(piece, piece + begin, filled - begin);
    filled -= begin;
  }
  os::close_file(maps);
}

void write_place(Text& into, void const* address) noexcept {
  struct Search {
    std::uint64_t address;
    Text& into;
    bool found;
  } search = {reinterpret_cast<std::uintptr_t>(address), into, false};
  for_each_mapping(&search, [](void* context, Mapping const& mapping) noexcept {
    Search& it = *static_cast<Search*>(context);
    if (it.address < mapping.start || it.address >= mapping.end || mapping.path.empty()) return true;
    std::size_t const slash = mapping.path.rfind('/');
    std::size_t const begin = slash == std::string_view::npos ? 0 : slash + 1;
    it.into << std::string_view(mapping.path.data() + begin, mapping.path.size() - begin) << '+'
            << Hex{it.address - mapping.start + mapping.offset};
    it.found = true;
    return false;
  });
  if (!search.found) into << hex(address);
}

}  // namespace stealth
