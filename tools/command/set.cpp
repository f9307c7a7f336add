// stealth set: changes settings of a running process. Names and values are checked here first, by the library's own
// parser, so that of several none is set when one is wrong.
#include <iostream>
#include <memory>

#include "amounts.hpp"
#include "changes.hpp"
#include "command.hpp"
#include "pages.hpp"

namespace stealth::command {
namespace {

struct Wanted {
  std::string pid;
  std::vector<std::string> changes;
  bool verbose = false;
};

std::string value_in_force(View const& view, std::string const& variable) {
  for (auto const& [name, value] : settings_of(view.snapshot, false)) {
    if (name == variable) return value;
  }
  return "?";
}

void run(Wanted const& wanted) {
  int const pid = parse_pid(wanted.pid);
  std::vector<Change> changes;
  for (std::string const& text : wanted.changes) changes.push_back(parse_change(text));
  View const before = view_of(pid);
  for (Change const& change : changes) {
    apply(before.process, change);
    if (!wanted.verbose) continue;
    std::cout << change.variable << ": " << value_in_force(before, change.variable) << " -> " << change.shown
              << std::endl;
  }
}

}  // namespace

void add_set(CLI::App& app, Status&) {
  auto const wanted = std::make_shared<Wanted>();
  CLI::App* const set = app.add_subcommand("set", "changes settings of a running process");
  set->add_option("PID", wanted->pid, "the process")->required();
  set->add_option("NAME=VALUE", wanted->changes, "settings as stealth settings lists them")->required();
  set->add_flag("-v,--verbose", wanted->verbose, "prints each change: NAME: old -> new");
  set->callback([wanted] { run(*wanted); });
}

}  // namespace stealth::command
