// A text line by line, and a line piece by piece.
#include "lines.hpp"

#include <algorithm>
#include <charconv>

#include "../command.hpp"

namespace stealth::command::profile {
namespace {

constexpr char const* kAdvice = "; make the dump anew";

// The bytes that text has: no control characters but the tab. Bytes of UTF-8 are fine, paths have them.
bool printable(std::string_view line) {
  return std::all_of(line.begin(), line.end(),
                     [](char c) { return c == '\t' || (static_cast<unsigned char>(c) >= 0x20 && c != 0x7f); });
}

}  // namespace

std::optional<std::string_view> Lines::next() {
  if (rest_.empty()) return std::nullopt;
  ++number_;
  auto const end = rest_.substr(0, kLongest + 1).find('\n');
  if (end == std::string_view::npos) {
    if (rest_.size() > kLongest) fail("longer than " + std::to_string(kLongest) + " bytes: this is not a dump");
    if (!printable(rest_)) fail("binary data: this is not a dump");
    fail("it ends in the middle: the file was cut short");
  }
  auto line = rest_.substr(0, end);
  rest_.remove_prefix(end + 1);
  if (line.ends_with('\r')) line.remove_suffix(1);
  if (!printable(line)) fail("binary data: this is not a dump");
  return line;
}

void Lines::fail_at(std::size_t number, std::string const& why) const {
  throw Failure("profile: " + name_ + ", line " + std::to_string(number) + ": " + why + kAdvice);
}

void Lines::cut_short(std::string const& missing) const {
  fail_at(number_ + 1, "the file ends before " + missing + ": it was cut short");
}

void Pieces::blanks() {
  auto const text = rest_.find_first_not_of(" \t");
  rest_.remove_prefix(text == std::string_view::npos ? rest_.size() : text);
}

bool Pieces::literal(std::string_view text) {
  if (!rest_.starts_with(text)) return false;
  rest_.remove_prefix(text.size());
  return true;
}

std::string_view Pieces::word() {
  auto const found = rest_.substr(0, rest_.find_first_of(" \t"));
  rest_.remove_prefix(found.size());
  return found;
}

std::optional<std::uint64_t> Pieces::number(int base) {
  std::uint64_t value = 0;
  auto const [end, error] = std::from_chars(rest_.data(), rest_.data() + rest_.size(), value, base);
  if (error != std::errc()) return std::nullopt;
  rest_.remove_prefix(static_cast<std::size_t>(end - rest_.data()));
  return value;
}

}  // namespace stealth::command::profile
