// What libstealth says to a person: whole lines on stderr that begin with "stealth: ", one write each.
#pragma once

#include "base/text.hpp"

namespace stealth {

// How much is said; the settings write it once at start.
enum class Verbosity : int { silent, problems, everything };
inline constinit Verbosity g_verbosity = Verbosity::problems;

using Line = FixedText<480>;

void write_line(std::string_view text) noexcept;
[[noreturn]] void write_line_and_abort(std::string_view text) noexcept;

// A problem: one line unless silent.
template <class... Parts>
void report(Parts const&... parts) noexcept {
  if (g_verbosity < Verbosity::problems) return;
  Line line;
  (line << ... << parts);
  write_line(line.view());
}

// What was chosen, for those who asked for it.
template <class... Parts>
void remark(Parts const&... parts) noexcept {
  if (g_verbosity < Verbosity::everything) return;
  report(parts...);
}

// The program has broken the heap, or we have: going on would make it worse. Said even when silent.
template <class... Parts>
[[noreturn]] void die(Parts const&... parts) noexcept {
  Line line;
  (line << ... << parts);
  write_line_and_abort(line.view());
}

}  // namespace stealth
