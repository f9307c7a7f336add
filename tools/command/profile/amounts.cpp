// Figures with units, and text that others can read.
#include "amounts.hpp"

#include <algorithm>
#include <array>
#include <cstdio>

namespace stealth::command::profile {
namespace {

struct Unit {
  double size;
  char const* name;
};

constexpr std::array<Unit, 5> kBytes = {{{0x1p40, "TiB"}, {0x1p30, "GiB"}, {0x1p20, "MiB"}, {0x1p10, "KiB"}, {1, "B"}}};
constexpr std::array<Unit, 4> kTimes = {{{1e9, "s"}, {1e6, "ms"}, {1e3, "us"}, {1, "ns"}}};

template <std::size_t N>
std::string with_unit(std::int64_t value, std::array<Unit, N> const& units) {
  for (auto const& unit : units) {
    if (static_cast<double>(value) < unit.size && unit.size > 1) continue;
    char text[48];
    std::snprintf(text, sizeof text, "%.*f %s", unit.size > 1 ? 1 : 0, static_cast<double>(value) / unit.size,
                  unit.name);
    return text;
  }
  return {};
}

// The length of the character at the front; 0: none.
std::size_t character(std::string_view text) {
  auto const first = static_cast<unsigned char>(text.front());
  if (first < 0x80) return 1;
  std::size_t const length = first >= 0xf0 && first < 0xf5   ? 4
                             : first >= 0xe0 && first < 0xf0 ? 3
                             : first >= 0xc2 && first < 0xe0 ? 2
                                                             : 0;
  if (length == 0 || text.size() < length) return 0;
  for (std::size_t i = 1; i < length; ++i)
    if ((static_cast<unsigned char>(text[i]) & 0xc0) != 0x80) return 0;
  auto const second = static_cast<unsigned char>(text[1]);
  bool const beyond = (first == 0xe0 && second < 0xa0) || (first == 0xed && second >= 0xa0) ||
                      (first == 0xf0 && second < 0x90) || (first == 0xf4 && second >= 0x90);
  return beyond ? 0 : length;
}

}  // namespace

std::string bytes_text(std::int64_t bytes) { return with_unit(bytes, kBytes); }

std::string amount_text(Kind kind, std::int64_t amount) {
  return kind == Kind::heap ? with_unit(amount, kBytes) : with_unit(amount, kTimes);
}

std::string valid_utf8(std::string_view text) {
  std::string result;
  for (auto rest = text; !rest.empty();) {
    auto const length = character(rest);
    result += length == 0 ? std::string_view("?") : rest.substr(0, length);
    rest.remove_prefix(std::max<std::size_t>(length, 1));
  }
  return result;
}

}  // namespace stealth::command::profile
