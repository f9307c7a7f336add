// stealth set.
#include "command.hpp"

namespace stealth::command {

void add_set(CLI::App& app, Status&) {
  app.add_subcommand("set", "")->callback([] { throw Failure("set: not there yet"); });
}

}  // namespace stealth::command
