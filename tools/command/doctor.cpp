// stealth doctor.
#include "command.hpp"
#include "program_line.hpp"

namespace stealth::command {

std::vector<Flag> const& doctor_flags() {
  static std::vector<Flag> const flags = {
      {"--format", Flag::Value::needed, "FORMAT", "text or json", "Options"},
      {"--library", Flag::Value::needed, "FILE", "the libstealth.so to use", "Options"}};
  return flags;
}

void add_doctor(CLI::App& app, ProgramLine const&, Status&) {
  app.add_subcommand("doctor", "")->callback([] { throw Failure("doctor: not there yet"); });
}

}  // namespace stealth::command
