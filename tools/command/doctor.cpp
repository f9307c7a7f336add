// stealth doctor: whether a program can be preloaded, and what the machine offers.
#include <algorithm>
#include <cstdio>
#include <nlohmann/json.hpp>
#include <string>
#include <vector>

#include "allocators.hpp"
#include "command.hpp"
#include "finding.hpp"
#include "library.hpp"
#include "machine.hpp"
#include "needed.hpp"
#include "program.hpp"
#include "program_line.hpp"

namespace stealth::command {

namespace {

struct Report {
  bool has_program = false;
  std::string program;  // its path
  Findings about_program, about_machine;
};

bool any_bad(Findings const& findings) {
  return std::any_of(findings.begin(), findings.end(), [](Finding const& one) { return one.level == Level::bad; });
}

char const* name_of(Level level) { return level == Level::ok ? "ok" : level == Level::warn ? "warn" : "bad"; }

Findings look_at_program(Program const& program, Library const& library) {
  Findings found;
  std::string way = program.path;
  if (!program.scripts.empty()) way += ": a script, run by " + program.image;
  found.push_back({Level::ok, "program", way, "", ""});
  Findings const hard = obstacles(program, library);
  found.insert(found.end(), hard.begin(), hard.end());
  if (hard.empty() && gives_rights(program.image)) {
    found.push_back({Level::warn, "identity", "set-uid or set-gid, which changes nothing for this user",
                     "for other users its loader ignores LD_PRELOAD", "nothing, or run it as this user only"});
  }
  if (!program.elf) {
    found.push_back(
        {Level::warn, "file", "cannot be read", "nothing can be told of it", "ask again as a user who may read it"});
    return found;
  }
  bool const form_is_fine =
      std::all_of(hard.begin(), hard.end(), [](Finding const& one) { return one.what == "identity"; });
  if (!form_is_fine) return found;
  found.push_back({Level::ok, "form", describe(program.elf->kind) + ", dynamic, glibc", "", ""});
  Findings const more = allocator_findings(program, linked_libraries(*program.elf));
  found.insert(found.end(), more.begin(), more.end());
  return found;
}

void print(std::string const& heading, Findings const& findings) {
  std::size_t width = 0;
  for (Finding const& one : findings) width = std::max(width, one.what.size());
  std::printf("%s\n", heading.c_str());
  for (Finding const& one : findings) {
    std::string const what = one.what + std::string(width - one.what.size(), ' ');
    std::string const rest = one.why.empty() ? "" : ": " + one.why + "; " + one.todo;
    std::printf("  %-4s  %s  %s%s\n", name_of(one.level), what.c_str(), one.found.c_str(), rest.c_str());
  }
}

void print_text(Report const& report) {
  if (report.has_program) print(report.program, report.about_program);
  print("this machine", report.about_machine);
  if (report.has_program) {
    std::puts(any_bad(report.about_program) ? "the program cannot be preloaded" : "the program can be preloaded");
  }
}

nlohmann::ordered_json as_json(Findings const& findings) {
  nlohmann::ordered_json list = nlohmann::ordered_json::array();
  for (Finding const& one : findings) {
    list.push_back({{"level", name_of(one.level)},
                    {"what", one.what},
                    {"found", one.found},
                    {"why", one.why},
                    {"todo", one.todo}});
  }
  return list;
}

void print_json(Report const& report) {
  nlohmann::ordered_json all = {{"program", nullptr}, {"machine", as_json(report.about_machine)}};
  if (report.has_program) {
    all["program"] = {{"path", report.program},
                      {"can_be_preloaded", !any_bad(report.about_program)},
                      {"findings", as_json(report.about_program)}};
  }
  std::puts(all.dump(2, ' ', false, nlohmann::ordered_json::error_handler_t::replace).c_str());
}

Status diagnose(ProgramLine const& line) {
  std::string format = "text", library_name;
  for (Given const& flag : line.given) (flag.flag == "--format" ? format : library_name) = flag.value;
  if (format != "text" && format != "json") {
    throw Failure("doctor: --format " + format + ": unknown format; say text or json", Failure::kUsage);
  }
  Library const library = find_library(library_name);
  Report report;
  if (!line.program.empty()) {
    Program const program = find_program(line.program[0]);
    report.has_program = true;
    report.program = program.path;
    report.about_program = look_at_program(program, library);
  }
  report.about_machine = machine_findings(library);
  report.about_machine.insert(report.about_machine.begin(), {Level::ok, "libstealth", library.path, "", ""});
  if (format == "json") {
    print_json(report);
  } else {
    print_text(report);
  }
  return any_bad(report.about_program) ? Failure::kFailed : 0;
}

}  // namespace

std::vector<Flag> const& doctor_flags() {
  static std::vector<Flag> const flags = {
      {"--format", Flag::Value::needed, "FORMAT", "text or json (default: text)", "Options"},
      {"--library", Flag::Value::needed, "FILE",
       "the libstealth.so that is meant (default: $STEALTH_LIBRARY, or the one beside)", "Options"}};
  return flags;
}

void add_doctor(CLI::App& app, ProgramLine const& line, Status& status) {
  CLI::App& doctor =
      *app.add_subcommand("doctor", "say whether a program can be preloaded, and what the machine offers");
  show_flags(doctor, doctor_flags(), "stealth doctor [OPTION…] [--] [PROGRAM [ARG…]]");
  doctor.callback([&] { status = diagnose(line); });
}

}  // namespace stealth::command
