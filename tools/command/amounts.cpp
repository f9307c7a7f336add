// See amounts.hpp.
#include "amounts.hpp"

#include <array>
#include <cstdio>
#include <sstream>

#include "config/load.hpp"
#include "page_file.hpp"

namespace stealth::command {
namespace {

std::string format(char const* pattern, double value, char const* unit = "") {
  char text[64];
  std::snprintf(text, sizeof text, pattern, value, unit);
  return text;
}

// Three digits that count.
std::string three(double value, char const* unit) {
  return format(value < 9.995 ? "%.2f%s" : value < 99.95 ? "%.1f%s" : "%.0f%s", value, unit);
}

std::uint64_t product(std::uint64_t a, std::uint64_t b) {
  std::uint64_t result = 0;
  return __builtin_mul_overflow(a, b, &result) ? UINT64_MAX : result;
}

bool is_default(std::string const& name, std::string const& value) {
  config::Config config;
  config::Problem problem;
  return config::set(config, name, value, problem) && config == config::defaults;
}

}  // namespace

std::string show_bytes(std::uint64_t bytes) {
  static constexpr std::array kUnits{" KiB", " MiB", " GiB", " TiB", " PiB", " EiB"};
  if (bytes < 1024) return std::to_string(bytes) + " B";
  double value = static_cast<double>(bytes) / 1024;
  std::size_t unit = 0;
  while (value >= 1023.5 && unit + 1 < kUnits.size()) {
    value /= 1024;
    ++unit;
  }
  return three(value, kUnits[unit]);
}

std::string show_time(std::uint64_t nanoseconds) {
  auto const value = static_cast<double>(nanoseconds);
  if (nanoseconds == 0) return "0";
  if (value < 999.5e3) return three(value / 1e3, " us");
  if (value < 999.5e6) return three(value / 1e6, " ms");
  if (value < 60e9) return three(value / 1e9, " s");
  std::uint64_t const seconds = nanoseconds / 1'000'000'000;
  if (seconds < 3600) return std::to_string(seconds / 60) + "m" + std::to_string(seconds % 60) + "s";
  if (seconds < 86400) return std::to_string(seconds / 3600) + "h" + std::to_string(seconds % 3600 / 60) + "m";
  return std::to_string(seconds / 86400) + "d" + std::to_string(seconds % 86400 / 3600) + "h";
}

std::string show_count(double count) {
  if (count == 0) return "0";
  if (count < 9.995) return format(count == static_cast<int>(count) ? "%.0f" : "%.1f", count);
  if (count < 99999.5) return format("%.0f", count);
  static constexpr std::array kUnits{" k", " M", " G", " T", " P", " E"};
  std::size_t unit = 0;
  for (count /= 1000; count >= 999.5 && unit + 1 < kUnits.size(); count /= 1000) ++unit;
  return three(count, kUnits[unit]);
}

std::string show_share(double share) {
  double const percent = share * 100;
  if (percent > 9999) return ">9999%";
  return format(percent < 99.95 ? "%.1f%%" : "%.0f%%", percent);
}

double fill_of(observe::Figures const& figures) {
  return figures.capacity == 0 ? 0 : static_cast<double>(figures.used) / static_cast<double>(figures.capacity);
}

std::uint64_t bytes_in_use(observe::ClassRow const& row) { return product(row.size, row.in_use); }

std::uint64_t bytes_free(observe::ClassRow const& row) {
  std::uint64_t blocks = 0;
  if (__builtin_add_overflow(row.in_lists, row.in_slabs, &blocks)) blocks = UINT64_MAX;
  return product(row.size, blocks);
}

std::uint64_t waits_in(observe::Figures const& figures) {
  std::uint64_t sum = 0;
  for (std::uint64_t const count : figures.histogram) {
    if (__builtin_add_overflow(sum, count, &sum)) return UINT64_MAX;
  }
  return sum;
}

std::vector<ClassLine> class_lines(observe::Snapshot const& snapshot) {
  std::vector<ClassLine> lines;
  for (std::uint32_t i = 0; i < snapshot.classes; ++i) {
    observe::ClassRow const& row = snapshot.class_rows[i];
    if ((row.carved | row.slabs | row.in_use | row.waits | row.max) == 0) continue;
    lines.push_back({show_bytes(row.size), row.size, bytes_in_use(row), row.in_use, bytes_free(row), row.max, row.slabs,
                     row.waits, row.waited_ns, row.grants});
  }
  observe::Figures const& figures = snapshot.figures;
  if (figures.large_blocks != 0) {
    lines.push_back({"large", ClassLine::kLarge, figures.large_bytes, figures.large_blocks, 0, 0, 0, 0, 0, 0});
  }
  return lines;
}

char const* mode_name(std::uint64_t mode) {
  static constexpr std::array kNames{"enforce", "observe", "off"};
  return mode < kNames.size() ? kNames[mode] : "unknown";
}

char const* policy_name(std::uint64_t policy) {
  static constexpr std::array kNames{"grant", "enomem", "abort"};
  return policy < kNames.size() ? kNames[policy] : "unknown";
}

std::vector<std::pair<std::string, std::string>> settings_of(observe::Snapshot const& snapshot, bool changed) {
  std::vector<std::pair<std::string, std::string>> all;
  std::istringstream lines(snapshot.settings);  // the page's reader has seen that it ends
  std::string line;
  while (std::getline(lines, line)) {
    std::size_t const sign = line.find('=');
    if (sign == std::string::npos) continue;
    std::string const name = line.substr(0, sign), value = line.substr(sign + 1);
    if (!changed || !is_default(name, value)) all.emplace_back(escaped(name), escaped(value));
  }
  return all;
}

}  // namespace stealth::command
