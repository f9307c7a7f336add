// The fields that take more than one form. See fields.hpp.
#include "config/fields.hpp"

#include <limits>

namespace stealth::config {

namespace {

constexpr auto largest_capacity = static_cast<std::uint64_t>(std::numeric_limits<std::int64_t>::max());
constexpr std::uint64_t shortest_interval = 100 * millisecond;
constexpr std::uint64_t longest_interval = 1440 * minute;
constexpr std::uint64_t largest_sample = tib;

bool ends_with(std::string_view text, char c) noexcept { return !text.empty() && text.back() == c; }

bool is_word_char(char c) noexcept {
  return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') || c == '.' || c == '_' || c == '-';
}

// The file at the end of a value: `path` is what stands behind the colon. A fault names it.
Fault parse_path(std::string_view path, Path& out) noexcept {
  if (Fault const fault = check_text(path, Path::capacity); !fault.fine()) {
    return {fault.why == Why::empty ? Why::path_missing : fault.why, path};
  }
  out.assign(path);
  return {};
}

// [:FORMAT][:FILE], both optional; without a format the file must look like a path, so that a misspelt format is not
// taken for a file.
Fault parse_output(std::string_view text, Stats& stats) noexcept {
  std::string_view path = text;
  std::string_view format;
  bool const has_path = split(path, ':', format);
  std::size_t index = 0;
  if (parse_word(format, format_words, index).fine()) {
    stats.format = static_cast<Stats::Format>(index);
    return has_path ? parse_path(path, stats.path) : Fault{};
  }
  if (!text.empty() && (text.front() == '/' || text.front() == '.')) {
    return parse_path(text, stats.path);
  }
  return {Why::not_a_format, format};
}

Fault parse_when(std::string_view text, Stats& stats) noexcept {
  if (same_word(text, "exit")) {
    stats.when = Stats::When::exit;
    return {};
  }
  if (Fault const fault = parse_time(text, stats.interval); !fault.fine()) {
    bool const no_time = fault.why == Why::not_a_time || fault.why == Why::empty;
    return {no_time ? Why::not_a_word : fault.why, text};
  }
  if (stats.interval < shortest_interval || stats.interval > longest_interval) {
    return {Why::out_of_range, text};
  }
  stats.when = Stats::When::interval;
  return {};
}

}  // namespace

Fault CapacityField::parse(std::string_view text, Config& config) noexcept {
  Capacity value;
  if (same_word(text, "auto")) {
    value.kind = Capacity::Kind::automatic;
  } else if (same_word(text, "none")) {
    value.kind = Capacity::Kind::none;
  } else if (ends_with(text, '%')) {
    value.kind = Capacity::Kind::share;
    std::uint32_t parts = 0;
    if (Fault const fault = parse_share(text, parts); !fault.fine()) {
      return fault;
    }
    if (parts == 0 || parts > whole) {
      return {Why::out_of_range};
    }
    value.value = parts;
  } else {
    value.kind = Capacity::Kind::bytes;
    if (Fault const fault = parse_size(text, value.value); !fault.fine()) {
      return fault;
    }
    if (value.value == 0 || value.value > largest_capacity) {
      return {Why::out_of_range};
    }
  }
  config.capacity = value;
  return {};
}

void CapacityField::print(Config const& config, Line& line) noexcept {
  switch (config.capacity.kind) {
    case Capacity::Kind::none:
      line.add("none");
      break;
    case Capacity::Kind::automatic:
      line.add("auto");
      break;
    case Capacity::Kind::bytes:
      print_size(config.capacity.value, line);
      break;
    case Capacity::Kind::share:
      print_share(static_cast<std::uint32_t>(config.capacity.value), line);
      break;
  }
}

Fault StatsField::parse(std::string_view text, Config& config) noexcept {
  if (text.empty()) {
    return {Why::empty};
  }
  Stats value;
  if (!same_word(text, "off")) {
    std::string_view output = text;
    std::string_view when;
    bool const has_output = split(output, ':', when);
    if (Fault const fault = parse_when(when, value); !fault.fine()) {
      return fault;
    }
    if (has_output) {
      if (Fault const fault = parse_output(output, value); !fault.fine()) {
        return fault;
      }
    }
  }
  config.stats = value;
  return {};
}

void StatsField::print(Config const& config, Line& line) noexcept {
  Stats const& stats = config.stats;
  if (stats.when == Stats::When::off) {
    line.add("off");
    return;
  }
  if (stats.when == Stats::When::exit) {
    line.add("exit");
  } else {
    print_time(stats.interval, line);
  }
  if (stats.format != Stats::Format::text || !stats.path.empty()) {
    line.add(":").add(format_words[static_cast<std::size_t>(stats.format)]);
  }
  if (!stats.path.empty()) {
    line.add(":").add(stats.path.view());
  }
}

Fault ProfileField::parse(std::string_view text, Config& config) noexcept {
  Profile value;
  if (!same_word(text, "off")) {
    std::string_view path = text;
    std::string_view interval;
    bool const has_path = split(path, ':', interval);
    if (Fault const fault = parse_size(interval, value.interval); !fault.fine()) {
      return {text.empty() ? Why::empty : (interval.empty() ? Why::not_a_size : fault.why), interval};
    }
    if (value.interval == 0 || value.interval > largest_sample) {
      return {Why::out_of_range, interval};
    }
    if (has_path) {
      if (Fault const fault = parse_path(path, value.path); !fault.fine()) {
        return fault;
      }
    }
  }
  config.profile = value;
  return {};
}

void ProfileField::print(Config const& config, Line& line) noexcept {
  if (config.profile.interval == 0) {
    line.add("off");
    return;
  }
  print_size(config.profile.interval, line);
  if (!config.profile.path.empty()) {
    line.add(":").add(config.profile.path.view());
  }
}

Fault GroupField::parse(std::string_view text, Config& config) noexcept {
  if (Fault const fault = check_text(text, decltype(config.group)::capacity); !fault.fine()) {
    return fault;
  }
  // The name becomes part of a file's name: nothing in it may lead elsewhere or hide it.
  for (char const c : text) {
    if (!is_word_char(c) || text.front() == '.') {
      return {Why::not_a_plain_name};
    }
  }
  config.group.assign(same_word(text, "none") ? std::string_view{} : text);
  return {};
}

void GroupField::print(Config const& config, Line& line) noexcept {
  line.add(config.group.empty() ? std::string_view{"none"} : config.group.view());
}

Fault OnlyField::parse(std::string_view text, Config& config) noexcept {
  if (Fault const fault = check_text(text, decltype(config.only)::capacity); !fault.fine()) {
    return fault;
  }
  config.only.assign(same_word(text, "all") ? std::string_view{} : text);
  return {};
}

void OnlyField::print(Config const& config, Line& line) noexcept {
  line.add(config.only.empty() ? std::string_view{"all"} : config.only.view());
}

Fault VerboseField::parse(std::string_view text, Config& config) noexcept {
  std::uint64_t level = 0;
  if (Fault const fault = parse_count(text, level); !fault.fine()) {
    return fault;
  }
  if (level > 2) {
    return {Why::out_of_range};
  }
  config.verbose = static_cast<std::uint8_t>(level);
  return {};
}

}  // namespace stealth::config
