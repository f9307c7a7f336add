// Text built in a buffer of the caller's: what malloc's side uses where others use stdio. Never allocates; cuts at the
// end.
#pragma once

#include <cstddef>
#include <cstdint>
#include <string_view>

namespace stealth {

// A number printed in hexadecimal, with 0x.
struct Hex {
  std::uint64_t value;
};
[[nodiscard]] inline Hex hex(void const* p) { return {reinterpret_cast<std::uintptr_t>(p)}; }
// A byte count printed with a unit and one decimal: "1.5 MiB".
struct Bytes {
  std::uint64_t value;
};

class Text {
 public:
  Text(char* buffer, std::size_t capacity) : buffer_(buffer), capacity_(capacity) {}

  Text& operator<<(std::string_view s);
  Text& operator<<(char const* s) { return *this << std::string_view(s); }
  Text& operator<<(char c) { return *this << std::string_view(&c, 1); }
  Text& operator<<(std::uint64_t n);
  Text& operator<<(std::uint32_t n) { return *this << std::uint64_t{n}; }
  Text& operator<<(int n);
  Text& operator<<(Hex n);
  Text& operator<<(Bytes n);

  [[nodiscard]] std::string_view view() const { return {buffer_, length_}; }
  [[nodiscard]] bool cut() const { return cut_; }
  void clear() { length_ = 0; }

 private:
  char* buffer_;
  std::size_t capacity_;
  std::size_t length_ = 0;
  bool cut_ = false;
};

template <std::size_t N>
class FixedText : public Text {
 public:
  FixedText() : Text(storage_, N) {}
  FixedText(FixedText const&) = delete;
  FixedText& operator=(FixedText const&) = delete;

 private:
  char storage_[N];
};

}  // namespace stealth
