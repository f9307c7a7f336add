// See globs.hpp.
#include "config/globs.hpp"

#include <cstddef>

#include "config/parse.hpp"

namespace stealth::config {

bool matches_glob(std::string_view glob, std::string_view text) noexcept {
  // Only the last star seen can need another try: what stood before it has fitted for good.
  constexpr auto none = static_cast<std::size_t>(-1);
  std::size_t star = none;  // place behind the last star in `glob`
  std::size_t tried = 0;    // how far into `text` that star reaches
  std::size_t g = 0;
  std::size_t t = 0;
  while (t < text.size()) {
    if (g < glob.size() && glob[g] == '*') {
      star = ++g;
      tried = t;
    } else if (g < glob.size() && (glob[g] == '?' || glob[g] == text[t])) {
      ++g;
      ++t;
    } else if (star != none) {
      g = star;
      t = ++tried;
    } else {
      return false;
    }
  }
  while (g < glob.size() && glob[g] == '*') {
    ++g;
  }
  return g == glob.size();
}

bool matches_only(std::string_view globs, std::string_view program) noexcept {
  bool any_wanted = false;
  bool wanted = false;
  for (bool more = true; more;) {
    std::string_view glob;
    more = split(globs, ',', glob);
    bool const excludes = !glob.empty() && glob.front() == '!';
    if (excludes) {
      glob.remove_prefix(1);
    }
    if (glob.empty()) {
      continue;
    }
    bool const fits = matches_glob(glob, program);
    if (excludes && fits) {
      return false;
    }
    any_wanted = any_wanted || !excludes;
    wanted = wanted || (fits && !excludes);
  }
  return wanted || !any_wanted;
}

std::string_view base_name(std::string_view path) noexcept {
  std::string_view last;
  while (split(path, '/', last)) {
  }
  return last;
}

}  // namespace stealth::config
