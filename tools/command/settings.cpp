// stealth settings.
#include "command.hpp"

namespace stealth::command {

void add_settings(CLI::App& app, Status&) {
  app.add_subcommand("settings", "")->callback([] { throw Failure("settings: not there yet"); });
}

}  // namespace stealth::command
