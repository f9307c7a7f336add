// See load.hpp.
#include "config/load.hpp"

#include <array>
#include <cstdint>

#include "config/globs.hpp"
#include "config/parse.hpp"

namespace stealth::config {

namespace {

constexpr std::size_t shown_of_name = 64;
constexpr std::size_t shown_of_value = 96;
constexpr std::size_t shown_of_item = 48;
constexpr std::size_t line_size = 1024;  // holds the longest message even when all of it is escaped

struct Assignment {
  std::string_view name;
  std::string_view value;
};

// False when the entry is no variable of ours.
bool is_ours(char const* entry, Assignment& assignment) noexcept {
  assignment.value = entry;
  return split(assignment.value, '=', assignment.name) && assignment.name.size() >= prefix.size() &&
         std::string_view{assignment.name.data(), prefix.size()} == prefix;
}

// The environment is exact where find_setting() is lenient: another spelling of the name is another variable.
Setting const* find_variable(std::string_view variable) noexcept {
  Setting const* const setting = find_setting(variable);
  return setting != nullptr && setting->variable == variable ? setting : nullptr;
}

// Applies one variable ahead of the others and says nothing: load() comes to it again in its turn.
void apply_early(Config& config, char const* const* environment, std::string_view variable) noexcept {
  for (; *environment != nullptr; ++environment) {
    Assignment assignment;
    if (is_ours(*environment, assignment) && assignment.name == variable) {
      Problem ignored;
      set(config, variable, assignment.value, ignored);
      return;
    }
  }
}

void name_and_value(std::string_view name, std::string_view value, Line& line) noexcept {
  line.add_escaped(name, shown_of_name).add("='").add_escaped(value, shown_of_value).add("'");
}

void send(Sink sink, Line const& line) noexcept {
  if (sink.take != nullptr) {
    sink.take(sink.context, line.view());
  }
}

void report_problem(Problem const& problem, Sink sink) noexcept {
  std::array<char, line_size> room;
  Line line{room};
  describe(problem, line);
  if (problem.why != Why::unknown_name) {
    line.add("; using ").add(problem.setting->default_value);
  }
  send(sink, line);
}

void apply(Config& config, Assignment const& assignment, Setting const* setting, Sink sink) noexcept {
  Problem problem;
  if (setting == nullptr) {
    problem = {Why::unknown_name, &nearest_setting(assignment.name), assignment.name, assignment.value, {}};
    report_problem(problem, sink);
  } else if (!set(config, assignment.name, assignment.value, problem)) {
    report_problem(problem, sink);
  }
}

}  // namespace

bool set(Config& config, std::string_view name, std::string_view value, Problem& problem) noexcept {
  Setting const* const setting = find_setting(name);
  if (setting == nullptr) {
    problem = {Why::unknown_name, &nearest_setting(name), name, value, {}};
    return false;
  }
  Fault const fault = setting->parse(value, config);
  problem = {fault.why, setting, name, value, fault.item};
  return fault.fine();
}

void describe(Problem const& problem, Line& line) noexcept {
  if (problem.why == Why::unknown_name) {
    line.add_escaped(problem.name, shown_of_name).add(": ").add(explain(problem.why));
    line.add("; the nearest known name is ").add(problem.setting->variable);
    return;
  }
  name_and_value(problem.setting->variable, problem.value, line);
  if (!problem.item.empty() && problem.item != problem.value) {
    line.add(": ").add_escaped(problem.item, shown_of_item);
  }
  line.add(": ").add(explain(problem.why)).add("; accepted: ").add(problem.setting->accepted);
}

bool load(Config& config, Origin const& origin, Sink sink) noexcept {
  if (origin.secure || origin.environment == nullptr) {
    return true;
  }
  // Whether anything may be said at all is settled first, wherever in the environment it stands.
  apply_early(config, origin.environment, "STEALTH_VERBOSE");
  apply_early(config, origin.environment, "STEALTH_ONLY");
  bool const served = origin.program.empty() || matches_only(config.only.view(), base_name(origin.program));
  Sink const heard = served && config.verbose > 0 ? sink : Sink{};

  std::array<bool, settings.size()> seen{};
  for (char const* const* entry = origin.environment; *entry != nullptr; ++entry) {
    Assignment assignment;
    if (!is_ours(*entry, assignment)) {
      continue;
    }
    Setting const* const setting = find_variable(assignment.name);
    if (setting != nullptr) {
      bool& done = seen[static_cast<std::size_t>(setting - settings.data())];
      if (done) {
        continue;
      }
      done = true;
    }
    apply(config, assignment, setting, heard);
  }
  return served;
}

}  // namespace stealth::config
