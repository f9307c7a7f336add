// See parse.hpp.
#include "config/parse.hpp"

#include <array>
#include <limits>

#include "config/config.hpp"
#include "config/line.hpp"

namespace stealth::config {

namespace {

constexpr std::uint64_t most = std::numeric_limits<std::uint64_t>::max();
constexpr std::uint64_t million = 1000000;

constexpr bool is_digit(char c) noexcept { return c >= '0' && c <= '9'; }

constexpr char lower(char c) noexcept { return c >= 'A' && c <= 'Z' ? static_cast<char>(c - 'A' + 'a') : c; }

// A decimal number at the front of a text: whole part, millionths, and what follows it.
struct Decimal {
  bool found = false;
  bool too_large = false;
  bool has_point = false;
  std::uint64_t whole = 0;
  std::uint64_t millionths = 0;
  std::string_view rest{};
};

void take_whole(Decimal& number) noexcept {
  while (!number.rest.empty() && is_digit(number.rest.front())) {
    auto const digit = static_cast<std::uint64_t>(number.rest.front() - '0');
    if (number.whole > (most - digit) / 10) {
      number.too_large = true;
    } else {
      number.whole = number.whole * 10 + digit;
    }
    number.found = true;
    number.rest.remove_prefix(1);
  }
}

void take_millionths(Decimal& number) noexcept {
  number.has_point = true;
  number.found = false;  // a point wants digits behind it
  number.rest.remove_prefix(1);
  for (std::uint64_t weight = million / 10; !number.rest.empty() && is_digit(number.rest.front()); weight /= 10) {
    number.millionths += weight * static_cast<std::uint64_t>(number.rest.front() - '0');
    number.found = true;
    number.rest.remove_prefix(1);
  }
}

Decimal take_decimal(std::string_view text) noexcept {
  Decimal number;
  number.rest = text;
  take_whole(number);
  if (!number.rest.empty() && number.rest.front() == '.') {
    take_millionths(number);
  }
  return number;
}

// number * unit. False when that is beyond 64 bits. Units stay below 2^44, so the millionths cannot overflow.
bool scale(Decimal const& number, std::uint64_t unit, std::uint64_t& out) noexcept {
  std::uint64_t const part = number.millionths * unit / million;
  if (number.too_large || number.whole > (most - part) / unit) {
    return false;
  }
  out = number.whole * unit + part;
  return true;
}

struct Unit {
  std::string_view suffix;
  std::uint64_t value;
};

constexpr std::array<Unit, 4> size_units{{{"t", tib}, {"g", gib}, {"m", mib}, {"k", kib}}};
constexpr std::array<Unit, 4> time_units{{{"m", minute}, {"s", second}, {"ms", millisecond}, {"us", microsecond}}};

Fault parse_parts(Decimal const& number, std::uint64_t unit, std::uint32_t& out) noexcept {
  std::uint64_t parts = 0;
  if (!scale(number, unit, parts) || parts > std::numeric_limits<std::uint32_t>::max()) {
    return {Why::out_of_range};
  }
  out = static_cast<std::uint32_t>(parts);
  return {};
}

// whole.tail, where tail counts units of 1/10^width; zeros at its end are left out.
void print_decimal(std::uint64_t whole_part, std::uint64_t tail, std::uint64_t weight, Line& line) noexcept {
  line.add(whole_part);
  if (tail != 0) {
    line.add(".");
  }
  while (tail != 0) {
    weight /= 10;
    line.add(tail / weight);
    tail %= weight;
  }
}

}  // namespace

Fault parse_size(std::string_view text, std::uint64_t& out) noexcept {
  Decimal const number = take_decimal(text);
  if (!number.found) {
    return {text.empty() ? Why::empty : Why::not_a_size};
  }
  std::uint64_t unit = 0;
  if (number.rest.empty() && !number.has_point) {
    unit = 1;
  }
  for (Unit const& known : size_units) {
    if (same_word(number.rest, known.suffix)) {
      unit = known.value;
    }
  }
  if (unit == 0) {
    return {Why::not_a_size};
  }
  return {scale(number, unit, out) ? Why::fine : Why::out_of_range};
}

Fault parse_share(std::string_view text, std::uint32_t& out) noexcept {
  Decimal const number = take_decimal(text);
  if (!number.found || number.rest != "%") {
    return {text.empty() ? Why::empty : Why::not_a_share};
  }
  return parse_parts(number, whole / 100, out);
}

Fault parse_fraction(std::string_view text, std::uint32_t& out) noexcept {
  Decimal const number = take_decimal(text);
  if (!number.found || !number.rest.empty()) {
    return {text.empty() ? Why::empty : Why::not_a_number};
  }
  return parse_parts(number, whole, out);
}

Fault parse_time(std::string_view text, std::uint64_t& out) noexcept {
  Decimal const number = take_decimal(text);
  if (!number.found) {
    return {text.empty() ? Why::empty : Why::not_a_time};
  }
  if (number.rest.empty()) {
    if (text != "0") {
      return {Why::time_without_unit};
    }
    out = 0;
    return {};
  }
  for (Unit const& known : time_units) {
    if (number.rest == known.suffix) {
      return {scale(number, known.value, out) ? Why::fine : Why::out_of_range};
    }
  }
  return {Why::not_a_time};
}

Fault parse_count(std::string_view text, std::uint64_t& out) noexcept {
  Decimal const number = take_decimal(text);
  if (!number.found || number.has_point || !number.rest.empty()) {
    return {text.empty() ? Why::empty : Why::not_a_number};
  }
  return {scale(number, 1, out) ? Why::fine : Why::out_of_range};
}

Fault parse_word(std::string_view text, std::span<std::string_view const> words, std::size_t& out) noexcept {
  for (std::size_t i = 0; i < words.size(); ++i) {
    if (same_word(text, words[i])) {
      out = i;
      return {};
    }
  }
  return {text.empty() ? Why::empty : Why::not_a_word};
}

Fault check_text(std::string_view text, std::size_t longest) noexcept {
  if (text.empty()) {
    return {Why::empty};
  }
  for (char const c : text) {
    auto const byte = static_cast<unsigned char>(c);
    if (byte < 0x20 || byte == 0x7f) {
      return {Why::control_character};
    }
  }
  return {text.size() > longest ? Why::too_long : Why::fine};
}

bool same_word(std::string_view a, std::string_view b) noexcept {
  if (a.size() != b.size()) {
    return false;
  }
  for (std::size_t i = 0; i < a.size(); ++i) {
    if (lower(a[i]) != lower(b[i])) {
      return false;
    }
  }
  return true;
}

bool split(std::string_view& rest, char separator, std::string_view& head) noexcept {
  for (std::size_t i = 0; i < rest.size(); ++i) {
    if (rest[i] == separator) {
      head = {rest.data(), i};
      rest.remove_prefix(i + 1);
      return true;
    }
  }
  head = rest;
  rest = {};
  return false;
}

void print_size(std::uint64_t bytes, Line& line) noexcept {
  for (Unit const& unit : size_units) {
    if (bytes != 0 && bytes % unit.value == 0) {
      line.add(bytes / unit.value).add(unit.suffix);
      return;
    }
  }
  line.add(bytes);
}

void print_share(std::uint32_t parts, Line& line) noexcept {
  print_decimal(parts / 10, parts % 10, 10, line);
  line.add("%");
}

void print_fraction(std::uint32_t parts, Line& line) noexcept {
  print_decimal(parts / whole, parts % whole, whole, line);
}

void print_time(std::uint64_t nanoseconds, Line& line) noexcept {
  if (nanoseconds == 0) {
    line.add("0");
    return;
  }
  for (Unit const& unit : time_units) {
    if (nanoseconds % unit.value == 0) {
      line.add(nanoseconds / unit.value).add(unit.suffix);
      return;
    }
  }
  print_decimal(nanoseconds / microsecond, nanoseconds % microsecond, microsecond, line);
  line.add("us");
}

}  // namespace stealth::config
