// See line.hpp.
#include "config/line.hpp"

#include <algorithm>
#include <array>
#include <cstring>

namespace stealth::config {

namespace {

constexpr std::string_view mark = "...";

// What stands for one byte from outside; `room` must outlive the result.
std::string_view escape(char c, std::array<char, 4>& room) noexcept {
  constexpr std::string_view digits = "0123456789abcdef";
  switch (c) {
    case '\n':
      return "\\n";
    case '\t':
      return "\\t";
    case '\r':
      return "\\r";
    case '\'':
      return "\\'";
    case '\\':
      return "\\\\";
    default:
      break;
  }
  if (c >= ' ' && c <= '~') {
    room[0] = c;
    return {room.data(), 1};
  }
  auto const byte = static_cast<unsigned char>(c);
  room = {'\\', 'x', digits[byte >> 4U], digits[byte & 15U]};
  return {room.data(), room.size()};
}

}  // namespace

void Line::put(std::string_view piece) noexcept {
  if (cut_ || piece.empty()) {
    return;
  }
  // Room for the mark is kept free until the end, so that it can always be set.
  std::size_t const usable = buffer_.size() < mark.size() ? 0 : buffer_.size() - mark.size();
  if (piece.size() <= usable - size_) {
    std::memcpy(buffer_.data() + size_, piece.data(), piece.size());
    size_ += piece.size();
    return;
  }
  cut_ = true;
  std::size_t const left = std::min(mark.size(), buffer_.size() - size_);
  if (left != 0) {
    std::memcpy(buffer_.data() + size_, mark.data(), left);
    size_ += left;
  }
}

Line& Line::add(std::string_view text) noexcept {
  // Our own words may be cut anywhere: the part that fits says more than none.
  for (std::size_t i = 0; i < text.size() && !cut_; ++i) {
    put({text.data() + i, 1});
  }
  return *this;
}

Line& Line::add(std::uint64_t number) noexcept {
  std::array<char, 20> digits{};  // as many as 2^64 has
  std::size_t first = digits.size();
  do {
    digits[--first] = static_cast<char>('0' + number % 10);
    number /= 10;
  } while (number != 0);
  put({digits.data() + first, digits.size() - first});
  return *this;
}

Line& Line::add_escaped(std::string_view text, std::size_t most) noexcept {
  std::array<char, 4> room{};
  std::size_t const shown = std::min(most, text.size());
  for (std::size_t i = 0; i < shown && !cut_; ++i) {
    put(escape(text[i], room));
  }
  if (shown < text.size()) {
    put(mark);
  }
  return *this;
}

}  // namespace stealth::config
