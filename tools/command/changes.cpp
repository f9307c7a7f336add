// See changes.hpp.
#include "changes.hpp"

#include <array>

#include "command.hpp"
#include "config/load.hpp"

namespace stealth::command {
namespace {

template <class Writer>
std::string written(Writer const& writer) {
  std::array<char, 1536> room;
  config::Line line{room};
  writer(line);
  return std::string(line.view());
}

}  // namespace

Change parse_change(std::string const& text) {
  std::size_t const sign = text.find('=');
  if (sign == std::string::npos) {
    throw Failure(escaped(text) + ": not a setting; write NAME=VALUE, as in capacity=1g", Failure::kUsage);
  }
  std::string const name = text.substr(0, sign), value = text.substr(sign + 1);
  config::Config config;
  config::Problem problem;
  if (!config::set(config, name, value, problem)) {
    std::string line = written([&](config::Line& out) { config::describe(problem, out); });
    throw Failure(line, Failure::kUsage);
  }
  config::Setting const& setting = *problem.setting;
  std::string const variable(setting.variable);
  if (!setting.live) {
    throw Failure(variable + ": cannot be changed in a running process; start the program anew with " + variable + "=" +
                      escaped(value),
                  Failure::kUsage);
  }
  return {variable, value, written([&](config::Line& out) { setting.print(config, out); })};
}

void apply(Process const& process, Change const& change, std::chrono::milliseconds patience) {
  Reply const reply = wish(process, "set " + change.variable + "=" + change.value, patience);
  if (reply.error == 0) return;
  std::string const why = reply.text.empty() ? "error " + std::to_string(reply.error) : reply.text;
  char const* const next = why.find("; ") == std::string::npos ? "; see: stealth settings" : "";
  throw Failure(std::to_string(process.pid) + ": refused: " + why + next);
}

}  // namespace stealth::command
