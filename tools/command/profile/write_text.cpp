// A table of functions for people: what each holds by itself, and with all that it called.
#include <algorithm>
#include <cstdio>
#include <map>
#include <set>
#include <utility>

#include "amounts.hpp"
#include "writers.hpp"

namespace stealth::command::profile {
namespace {

struct Row {
  std::string function, file;  // functions of one name in two files are two
  std::int64_t flat = 0, cumulative = 0, count = 0;
};

double percent(std::int64_t part, std::int64_t total) {
  return total == 0 ? 0 : 100 * static_cast<double>(part) / static_cast<double>(total);
}

std::vector<Row> rows_of(Profile const& profile) {
  std::map<std::pair<std::string, std::string>, Row> rows;
  auto const row_of = [&](std::size_t index) -> Row& {
    auto const& function = profile.functions[index];
    auto& row = rows[{function.short_name, function.file}];
    row.function = function.short_name;
    row.file = function.file;
    return row;
  };
  for (auto const& sample : profile.samples) {
    auto const value = sample.values[profile.amount()];
    auto const count = sample.values[profile.count()];
    if (value == 0 && count == 0) continue;
    auto& leaf = row_of(profile.locations[sample.locations.front()].lines.front().function);
    leaf.flat = add(leaf.flat, value);
    leaf.count = add(leaf.count, count);
    std::set<Row*> seen;  // who calls himself counts once
    for (auto const place : sample.locations)
      for (auto const& line : profile.locations[place].lines) seen.insert(&row_of(line.function));
    for (auto* const row : seen) row->cumulative = add(row->cumulative, value);
  }
  std::vector<Row> sorted;
  for (auto& [name, row] : rows) sorted.push_back(std::move(row));
  std::stable_sort(sorted.begin(), sorted.end(), [](Row const& a, Row const& b) {
    return a.flat != b.flat ? a.flat > b.flat : a.cumulative > b.cumulative;
  });
  return sorted;
}

std::string head(Profile const& profile) {
  auto const value = amount_text(profile.kind, profile.total(profile.amount()));
  auto const count = std::to_string(profile.total(profile.count()));
  auto const sampled = std::to_string(profile.sampled);
  if (profile.kind == Kind::stalls)
    return profile.name + ": " + value + " in " + count + " waits" +
           (profile.interval > 1 ? ", from one of " + std::to_string(profile.interval) + "\n" : "\n");
  return profile.name + ": about " + value + " live in " + count + " objects, from " + sampled +
         " samples; one sample for each " + bytes_text(static_cast<std::int64_t>(profile.interval)) +
         " allocated, on average\n";
}

}  // namespace

std::string write_text(Profile const& profile, std::size_t top) {
  auto const rows = rows_of(profile);
  auto const total = profile.total(profile.amount());
  auto const shown = top == 0 ? rows.size() : std::min(top, rows.size());
  auto text = head(profile);
  char line[160];
  std::snprintf(line, sizeof line, "%11s %6s %6s %11s %6s %9s  %s\n", "flat", "flat%", "sum%", "cum", "cum%",
                profile.kind == Kind::heap ? "objects" : "waits", "function");
  text += line;
  std::int64_t sum = 0;
  for (std::size_t i = 0; i < shown; ++i) {
    auto const& row = rows[i];
    sum = add(sum, row.flat);
    std::snprintf(line, sizeof line, "%11s %5.1f%% %5.1f%% %11s %5.1f%% %9lld  ",
                  amount_text(profile.kind, row.flat).c_str(), percent(row.flat, total), percent(sum, total),
                  amount_text(profile.kind, row.cumulative).c_str(), percent(row.cumulative, total),
                  static_cast<long long>(row.count));
    text += line + row.function;
    if (!row.file.empty()) text += " (" + row.file.substr(row.file.rfind('/') + 1) + ")";
    text += '\n';
  }
  if (shown < rows.size())
    text += "… and " + std::to_string(rows.size() - shown) + " more functions (--top 0 shows all)\n";
  return text;
}

}  // namespace stealth::command::profile
