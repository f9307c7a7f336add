// See program_line.hpp.
#include "program_line.hpp"

#include <algorithm>
#include <memory>
#include <utility>

#include "command.hpp"
#include "config/settings.hpp"

namespace stealth::command {

namespace {

Flag const* find_flag(std::vector<Flag> const& flags, std::string const& name) {
  auto const found = std::find_if(flags.begin(), flags.end(), [&](Flag const& flag) { return flag.name == name; });
  return found == flags.end() ? nullptr : &*found;
}

[[noreturn]] void fail_unknown(std::string const& subcommand, std::vector<Flag> const& flags, std::string const& name) {
  auto const farther = [&](Flag const& a, Flag const& b) {
    return config::edit_distance(name, a.name) < config::edit_distance(name, b.name);
  };
  Flag const& nearest = *std::min_element(flags.begin(), flags.end(), farther);
  throw Failure(subcommand + ": " + name + ": unknown option; the nearest is " + nearest.name + ", see stealth " +
                    subcommand + " --help",
                Failure::kUsage);
}

// One option, at words[at]; moves `at` behind it.
Given take_flag(std::string const& subcommand, std::vector<Flag> const& flags, std::vector<std::string> const& words,
                std::size_t& at) {
  std::string const& word = words[at++];
  std::size_t const equals = word.find('=');
  Given given{word.substr(0, equals), equals != std::string::npos, {}};
  Flag const* const flag = find_flag(flags, given.flag);
  if (flag == nullptr) fail_unknown(subcommand, flags, given.flag);
  if (given.has_value) given.value = word.substr(equals + 1);
  if (given.has_value && flag->value == Flag::Value::none) {
    throw Failure(subcommand + ": " + word + ": this option takes no value; say " + flag->name, Failure::kUsage);
  }
  if (!given.has_value && flag->value == Flag::Value::needed) {
    if (at == words.size()) {
      throw Failure(subcommand + ": " + word + ": the value is missing; say " + word + " " + flag->value_name,
                    Failure::kUsage);
    }
    given.has_value = true;
    given.value = words[at++];
  }
  return given;
}

// The library's own usage line knows of no program.
class UsageFormatter : public CLI::Formatter {
 public:
  explicit UsageFormatter(std::string usage) : usage_(std::move(usage)) { column_width(34); }
  std::string make_usage(CLI::App const*, std::string) const override { return "Usage: " + usage_ + "\n"; }
  // A value that is given only with "=" stands close to its flag.
  std::string make_option_opts(CLI::Option const* option) const override {
    std::string text = CLI::Formatter::make_option_opts(option);
    return text.starts_with(" [=") ? text.substr(1) : text;
  }

 private:
  std::string usage_;
};

}  // namespace

ProgramLine take_program_line(std::vector<std::string>& words) {
  ProgramLine line;
  if (words.empty() || (words[0] != "run" && words[0] != "doctor")) return line;
  std::string const subcommand = words[0];
  std::vector<Flag> const& flags = subcommand == "run" ? run_flags() : doctor_flags();
  std::size_t at = 1;
  while (at < words.size() && words[at].size() > 1 && words[at][0] == '-') {
    if (words[at] == "--") {
      ++at;
      break;
    }
    if (words[at] == "--help" || words[at] == "-h") {
      words = {subcommand, "--help"};
      return line;
    }
    line.given.push_back(take_flag(subcommand, flags, words, at));
  }
  line.program.assign(words.begin() + static_cast<std::ptrdiff_t>(at), words.end());
  words.resize(1);
  return line;
}

void show_flags(CLI::App& subcommand, std::vector<Flag> const& flags, std::string const& usage) {
  subcommand.formatter(std::make_shared<UsageFormatter>(usage));
  for (Flag const& flag : flags) {
    bool const optional = flag.value == Flag::Value::optional;
    CLI::Option* const option = subcommand.add_flag(flag.name, flag.help);
    option->group(flag.group);
    if (flag.value != Flag::Value::none) {
      option->option_text(optional ? "[=" + flag.value_name + "]" : flag.value_name);
    }
  }
}

}  // namespace stealth::command
