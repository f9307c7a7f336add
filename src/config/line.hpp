// Text written into a buffer that the caller owns: nothing is allocated, what does not fit is cut at a whole piece
// (never inside an escape) and marked with "...".
#pragma once

#include <cstddef>
#include <cstdint>
#include <span>
#include <string_view>

namespace stealth::config {

class Line {
 public:
  // Fewer than 4 bytes hold nothing but, at most, the mark.
  explicit Line(std::span<char> buffer) noexcept : buffer_(buffer) {}

  std::string_view view() const noexcept { return {buffer_.data(), size_}; }
  bool cut() const noexcept { return cut_; }

  Line& add(std::string_view text) noexcept;
  Line& add(std::uint64_t number) noexcept;

  // For text from outside, at most `most` bytes of it: everything but printable ASCII becomes \xNN (or \n, \t, \r),
  // quote and backslash get a backslash, and a longer text ends with the mark.
  Line& add_escaped(std::string_view text, std::size_t most) noexcept;

 private:
  // All of `piece` or, once one did not fit, nothing any more.
  void put(std::string_view piece) noexcept;

  std::span<char> buffer_;
  std::size_t size_ = 0;
  bool cut_ = false;
};

}  // namespace stealth::config
