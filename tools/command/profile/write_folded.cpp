// A line for each stack, the root first. What separates must not be in a name: semicolons become colons. Blanks may
// stay: readers take the last one for the one before the number.
#include <map>

#include "writers.hpp"

namespace stealth::command::profile {
namespace {

void add_name(std::string& line, std::string const& name) {
  if (!line.empty()) line += ';';
  for (char const c : name) line += c == ';' ? ':' : c;
}

}  // namespace

std::string write_folded(Profile const& profile) {
  std::map<std::string, std::int64_t> lines;
  for (auto const& sample : profile.samples) {
    auto const value = sample.values[profile.amount()];
    if (value == 0) continue;
    std::string line;
    for (auto place = sample.locations.rbegin(); place != sample.locations.rend(); ++place) {
      auto const& inlined = profile.locations[*place].lines;
      for (auto frame = inlined.rbegin(); frame != inlined.rend(); ++frame)
        add_name(line, profile.functions[frame->function].short_name);
    }
    auto& sum = lines[line];
    sum = add(sum, value);
  }
  std::string text;
  for (auto const& [line, value] : lines) text += line + ' ' + std::to_string(value) + '\n';
  return text;
}

}  // namespace stealth::command::profile
