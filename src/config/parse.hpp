// The forms in which a single value is written: pure functions, text in, number or reason out. They take all of the
// text or refuse it, and write to `out` only when they return fine().
#pragma once

#include <cstddef>
#include <cstdint>
#include <span>
#include <string_view>

#include "config/fault.hpp"

namespace stealth::config {

class Line;

// 4096, 64k, 1.5g: bytes, with k m g t in either case as powers of 1024. Decimals need a suffix; what they leave of a
// byte is dropped, and so are digits after the sixth.
Fault parse_size(std::string_view text, std::uint64_t& out) noexcept;

// 90%, 12.5%: parts per thousand.
Fault parse_share(std::string_view text, std::uint32_t& out) noexcept;

// 0.5, 1, .25: parts per thousand.
Fault parse_fraction(std::string_view text, std::uint32_t& out) noexcept;

// 200us, 1.5ms, 2s, 1m: nanoseconds. Only 0 may go without its unit.
Fault parse_time(std::string_view text, std::uint64_t& out) noexcept;

// 12: digits only.
Fault parse_count(std::string_view text, std::uint64_t& out) noexcept;

// One of `words`, in either case; `out` is its index.
Fault parse_word(std::string_view text, std::span<std::string_view const> words, std::size_t& out) noexcept;

// No control characters and at most `longest` bytes.
Fault check_text(std::string_view text, std::size_t longest) noexcept;

bool same_word(std::string_view a, std::string_view b) noexcept;  // ASCII letters of either case are the same

// Takes the text up to `separator` (or all of it) off the front of `rest`, the separator too. False when there was no
// separator, so `rest` is used up.
bool split(std::string_view& rest, char separator, std::string_view& head) noexcept;

// The shortest spelling that the parsers above read back as the same value.
void print_size(std::uint64_t bytes, Line& line) noexcept;
void print_share(std::uint32_t parts, Line& line) noexcept;
void print_fraction(std::uint32_t parts, Line& line) noexcept;
void print_time(std::uint64_t nanoseconds, Line& line) noexcept;

}  // namespace stealth::config
