// stealth settings: the one table, and what of it holds in this environment.
#include <unistd.h>

#include <algorithm>
#include <cstdio>
#include <nlohmann/json.hpp>
#include <string>
#include <string_view>
#include <vector>

#include "command.hpp"
#include "settings_view.hpp"

namespace stealth::command {

namespace {

using Rows = std::vector<SettingView>;

char const* changes(config::Setting const& setting) { return setting.live ? "live" : "at start"; }

// Those that were named, in the order of the table; all where none was.
Rows chosen(Rows const& all, std::vector<std::string> const& names) {
  std::vector<config::Setting const*> wanted;
  for (std::string const& name : names) {
    config::Setting const* const setting = config::find_setting(name);
    if (setting == nullptr) {
      throw Failure(
          name + ": unknown setting; the nearest known name is " + std::string(config::nearest_setting(name).variable),
          Failure::kUsage);
    }
    wanted.push_back(setting);
  }
  Rows rows;
  std::copy_if(all.begin(), all.end(), std::back_inserter(rows), [&](SettingView const& row) {
    return wanted.empty() || std::find(wanted.begin(), wanted.end(), row.setting) != wanted.end();
  });
  return rows;
}

char mark_of(SettingView const& row) {
  if (!row.refused.empty()) return '!';
  return row.is_default ? ' ' : '*';
}

std::string padded(std::string_view text, std::size_t width) {
  std::string cell(text);
  cell.resize(std::max(width, cell.size()), ' ');
  return cell + "  ";
}

void print_row(SettingView const& row, std::size_t name_width, std::size_t value_width) {
  config::Setting const& setting = *row.setting;
  std::string text = std::string(1, mark_of(row)) + " " + padded(setting.variable, name_width) +
                     padded(row.value, value_width) + padded(setting.default_value, 7) + changes(setting) + "\n";
  text += "      " + std::string(setting.help) + "\n      accepted: " + std::string(setting.accepted) + "\n";
  if (!row.refused.empty()) text += "      refused: " + row.refused + "\n";
  std::fputs(text.c_str(), stdout);
}

void print_text(Rows const& rows, std::vector<UnknownVariable> const& unknown) {
  constexpr std::size_t kWidestValue = 24;
  std::size_t name_width = 4, value_width = 5;
  for (SettingView const& row : rows) {
    name_width = std::max(name_width, row.setting->variable.size());
    value_width = std::max(value_width, std::min(row.value.size(), kWidestValue));
  }
  std::printf("  %s%s%schanges\n", padded("name", name_width).c_str(), padded("value", value_width).c_str(),
              padded("default", 7).c_str());
  for (SettingView const& row : rows) print_row(row, name_width, value_width);
  for (UnknownVariable const& variable : unknown) {
    std::printf("! %s: unknown; the nearest known name is %s\n", variable.name.c_str(), variable.nearest.c_str());
  }
  auto const any = [&](char mark) {
    return std::any_of(rows.begin(), rows.end(), [&](SettingView const& row) { return mark_of(row) == mark; });
  };
  if (any('*')) std::puts("* not the default: set in this environment");
  if (any('!')) std::puts("! set in this environment, and not taken");
}

void print_json(Rows const& rows, std::vector<UnknownVariable> const& unknown) {
  nlohmann::ordered_json all = {{"settings", nlohmann::ordered_json::array()},
                                {"unknown", nlohmann::ordered_json::array()}};
  for (SettingView const& row : rows) {
    config::Setting const& setting = *row.setting;
    nlohmann::ordered_json one = {{"name", setting.variable},
                                  {"value", row.value},
                                  {"default", setting.default_value},
                                  {"is_default", row.is_default},
                                  {"in_environment", row.is_given},
                                  {"given", nullptr},
                                  {"refused", nullptr},
                                  {"accepted", setting.accepted},
                                  {"live", setting.live},
                                  {"help", setting.help}};
    if (row.is_given) one["given"] = row.given;
    if (!row.refused.empty()) one["refused"] = row.refused;
    all["settings"].push_back(std::move(one));
  }
  for (UnknownVariable const& variable : unknown) {
    all["unknown"].push_back({{"name", variable.name}, {"nearest", variable.nearest}});
  }
  // The environment may hold anything; JSON holds UTF-8.
  std::puts(all.dump(2, ' ', false, nlohmann::ordered_json::error_handler_t::replace).c_str());
}

std::string roff(std::string_view text) {
  std::string escaped;
  for (char const c : text) {
    if (c == '\\') {
      escaped += "\\e";
    } else if (c == '-') {
      escaped += "\\-";
    } else {
      escaped += c;
    }
  }
  return escaped;
}

// A list of tagged paragraphs (man macros); the same in every environment.
void print_man(Rows const& rows) {
  for (SettingView const& row : rows) {
    config::Setting const& setting = *row.setting;
    std::printf(".TP\n.BR %s \" (default \" %s \"; %s)\"\n", roff(setting.variable).c_str(),
                roff(setting.default_value).c_str(), setting.live ? "changes live" : "read at start");
    std::printf("\\&%s.\nAccepted: %s.\n", roff(setting.help).c_str(), roff(setting.accepted).c_str());
  }
}

// For the shell's completion: the name, whether it changes live, and words that it takes; a setting a line.
void print_words(Rows const& rows) {
  for (SettingView const& row : rows) {
    std::printf("%s %s", std::string(row.setting->name()).c_str(), row.setting->live ? "live" : "start");
    for (std::string const& word : words_of(*row.setting)) std::printf(" %s", word.c_str());
    std::puts("");
  }
}

void list(std::string const& format, std::vector<std::string> const& names) {
  EnvironmentView const view = view_environment(environ);
  Rows const rows = chosen(view.settings, names);
  std::vector<UnknownVariable> const unknown = names.empty() ? view.unknown : std::vector<UnknownVariable>{};
  if (format == "json") {
    print_json(rows, unknown);
  } else if (format == "man") {
    print_man(rows);
  } else if (format == "words") {
    print_words(rows);
  } else {
    print_text(rows, unknown);
  }
}

struct Wanted {
  std::string format = "text";
  std::vector<std::string> names;
};

}  // namespace

void add_settings(CLI::App& app, Status&) {
  auto const wanted = std::make_shared<Wanted>();
  CLI::App& settings = *app.add_subcommand("settings", "list all settings, and what this environment makes of them");
  settings.add_option("--format", wanted->format, "text, json or man (what the manual says of them)")
      ->option_text("FORMAT");
  settings.add_option("NAME", wanted->names, "settings to list, in any spelling (default: all)")->option_text(" ");
  settings.callback([wanted] {
    static constexpr std::string_view kFormats[] = {"text", "json", "man", "words"};
    if (std::find(std::begin(kFormats), std::end(kFormats), wanted->format) == std::end(kFormats)) {
      throw Failure("settings: --format " + wanted->format + ": unknown format; say text, json or man",
                    Failure::kUsage);
    }
    list(wanted->format, wanted->names);
  });
}

}  // namespace stealth::command
