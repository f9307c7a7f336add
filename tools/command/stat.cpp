// stealth stat.
#include "command.hpp"

namespace stealth::command {

void add_stat(CLI::App& app, Status&) {
  app.add_subcommand("stat", "")->callback([] { throw Failure("stat: not there yet"); });
}

}  // namespace stealth::command
