// See settings_view.hpp.
#include "settings_view.hpp"

#include <algorithm>
#include <array>
#include <cctype>

#include "command.hpp"
#include "config/line.hpp"
#include "config/load.hpp"

namespace stealth::command {

namespace {

constexpr std::size_t kLongestValue = 8192;  // of STEALTH_CLASSES with all its rules

std::string describe(config::Problem const& problem) {
  std::array<char, 1024> room;
  config::Line line{room};
  config::describe(problem, line);
  return std::string(line.view());
}

void take_variable(EnvironmentView& view, std::string_view name, std::string_view value) {
  auto const row = std::find_if(view.settings.begin(), view.settings.end(),
                                [&](SettingView const& known) { return known.setting->variable == name; });
  if (row == view.settings.end()) {
    if (name == kLibraryVariable) return;
    view.unknown.push_back({std::string(name), std::string(config::nearest_setting(name).variable)});
    return;
  }
  if (row->is_given) return;  // of equal names the first counts
  row->is_given = true;
  row->given = value;
  config::Problem problem;
  if (!config::set(view.config, name, value, problem)) row->refused = describe(problem);
}

}  // namespace

std::string print_value(config::Setting const& setting, config::Config const& config) {
  std::array<char, kLongestValue> room;
  config::Line line{room};
  setting.print(config, line);
  return std::string(line.view());
}

EnvironmentView view_environment(char const* const* environment) {
  EnvironmentView view;
  for (config::Setting const& setting : config::settings) {
    view.settings.emplace_back();
    view.settings.back().setting = &setting;
  }
  for (; environment != nullptr && *environment != nullptr; ++environment) {
    std::string_view const entry = *environment;
    std::size_t const equals = entry.find('=');
    if (!entry.starts_with(config::prefix) || equals == std::string_view::npos) continue;
    take_variable(view, entry.substr(0, equals), entry.substr(equals + 1));
  }
  for (SettingView& row : view.settings) {
    row.value = print_value(*row.setting, view.config);
    row.is_default = row.value == print_value(*row.setting, config::defaults);
  }
  return view;
}

void set_or_fail(config::Config& config, std::string_view name, std::string_view value) {
  config::Problem problem;
  if (!config::set(config, name, value, problem)) throw Failure(describe(problem), Failure::kUsage);
}

std::vector<std::string> words_of(config::Setting const& setting) {
  bool const free_text = setting.kind == config::Kind::name || setting.kind == config::Kind::globs;
  std::vector<std::string> words;
  std::string_view rest = free_text ? setting.default_value : setting.accepted;
  while (!rest.empty()) {
    std::size_t const end = std::min(rest.find_first_of(", "), rest.size());
    std::string const word(rest.substr(0, end));
    rest.remove_prefix(std::min(end + 1, rest.size()));
    bool const plain = !word.empty() &&
                       (std::isalpha(static_cast<unsigned char>(word[0])) != 0 || setting.kind == config::Kind::level);
    config::Config config;
    bool const fresh = std::find(words.begin(), words.end(), word) == words.end();
    if (plain && fresh && setting.parse(word, config).fine()) words.push_back(word);
  }
  return words;
}

}  // namespace stealth::command
