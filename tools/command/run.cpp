// stealth run.
#include "command.hpp"

namespace stealth::command {

void add_run(CLI::App& app, Status&) {
  app.add_subcommand("run", "")->callback([] { throw Failure("run: not there yet"); });
}

}  // namespace stealth::command
