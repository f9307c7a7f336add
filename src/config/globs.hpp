// The comma list of STEALTH_ONLY: which programs are served.
#pragma once

#include <string_view>

namespace stealth::config {

// Whether all of `text` fits `glob`: * is any run of characters, ? is one, everything else itself.
bool matches_glob(std::string_view glob, std::string_view text) noexcept;

// `globs` is a comma list; `!glob` excludes. A program is meant when no `!glob` fits its name and, if there are globs
// without `!`, one of those does. Empty items count for nothing, so an empty list means every program.
bool matches_only(std::string_view globs, std::string_view program) noexcept;

// The part of a path behind its last slash.
std::string_view base_name(std::string_view path) noexcept;

}  // namespace stealth::config
