// stealth doctor.
#include "command.hpp"

namespace stealth::command {

void add_doctor(CLI::App& app, Status&) {
  app.add_subcommand("doctor", "")->callback([] { throw Failure("doctor: not there yet"); });
}

}  // namespace stealth::command
