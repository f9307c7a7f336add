// See text.hpp.
#include "base/text.hpp"

#include <cstring>

#include "base/units.hpp"

namespace stealth {

Text& Text::operator<<(std::string_view s) {
  std::size_t const room = capacity_ - length_;
  cut_ |= s.size() > room;
  std::size_t const n = min(s.size(), room);
  std::memcpy(buffer_ + length_, s.data(), n);
  length_ += n;
  return *this;
}

Text& Text::operator<<(std::uint64_t n) {
  char digits[20];
  std::size_t at = sizeof digits;
  do {
    digits[--at] = static_cast<char>('0' + n % 10);
    n /= 10;
  } while (n != 0);
  return *this << std::string_view(digits + at, sizeof digits - at);
}

Text& Text::operator<<(int n) {
  if (n < 0) *this << '-';
  return *this << (n < 0 ? std::uint64_t{0} - static_cast<std::uint64_t>(n) : static_cast<std::uint64_t>(n));
}

Text& Text::operator<<(Hex n) {
  char digits[16];
  std::size_t at = sizeof digits;
  std::uint64_t value = n.value;
  do {
    digits[--at] = "0123456789abcdef"[value % 16];
    value /= 16;
  } while (value != 0);
  return *this << "0x" << std::string_view(digits + at, sizeof digits - at);
}

Text& Text::operator<<(Bytes n) {
  if (n.value < kKiB) return *this << n.value << " B";
  constexpr char const* kUnits[] = {"KiB", "MiB", "GiB", "TiB", "PiB", "EiB"};
  std::size_t unit = 0;
  std::uint64_t divisor = kKiB;
  while (n.value / divisor >= kKiB) divisor *= kKiB, ++unit;
  return *this << n.value / divisor << '.' << n.value % divisor * 10 / divisor << ' ' << kUnits[unit];
}

}  // namespace stealth
