// What the files of this room share among themselves: arguments of system calls, and short paths put together.
#pragma once

#include <cstddef>
#include <cstdint>
#include <cstring>
#include <string_view>

namespace stealth::os {

inline long address(void const* p) { return static_cast<long>(reinterpret_cast<std::uintptr_t>(p)); }
inline long number(std::size_t n) { return static_cast<long>(n); }

// A path in a buffer of its own, always ended by a NUL. One that does not fit becomes empty and stays so: the kernel
// then finds nothing (ENOENT), rather than something else.
template <std::size_t Size>
class Path {
 public:
  Path& operator<<(std::string_view part) {
    if (cut_ || part.size() >= Size - length_) {
      cut_ = true;
      length_ = 0;
    } else {
      std::memcpy(text_ + length_, part.data(), part.size());
      length_ += part.size();
    }
    text_[length_] = '\0';
    return *this;
  }
  Path& operator<<(std::uint64_t n) {
    char digits[20];
    std::size_t at = sizeof digits;
    do {
      digits[--at] = static_cast<char>('0' + n % 10);
      n /= 10;
    } while (n != 0);
    return *this << std::string_view(digits + at, sizeof digits - at);
  }
  [[nodiscard]] char const* c_str() const { return text_; }
  [[nodiscard]] std::string_view view() const { return {text_, length_}; }
  [[nodiscard]] bool cut() const { return cut_; }

 private:
  char text_[Size] = {};
  std::size_t length_ = 0;
  bool cut_ = false;
};

// The parts of `text` before and from `at` on (npos: its end). Unlike substr() they have no error to throw, which would
// need the C++ library.
[[nodiscard]] inline std::string_view before(std::string_view text, std::size_t at) {
  return {text.data(), at < text.size() ? at : text.size()};
}
[[nodiscard]] inline std::string_view after(std::string_view text, std::size_t at) {
  text.remove_prefix(at < text.size() ? at : text.size());
  return text;
}
// Up to `mark`, which is taken off as well; all of it where there is no mark.
[[nodiscard]] inline std::string_view take_until(std::string_view& text, char mark) {
  std::string_view const part = before(text, text.find(mark));
  text.remove_prefix(part.size() < text.size() ? part.size() + 1 : part.size());
  return part;
}

// A decimal number at the beginning of `text`; kUnlimited for anything else ("max"), and for what does not fit.
[[nodiscard]] std::uint64_t parse_number(std::string_view text) noexcept;

}  // namespace stealth::os
