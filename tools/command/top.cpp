// stealth top.
#include "command.hpp"

namespace stealth::command {

void add_top(CLI::App& app, Status&) {
  app.add_subcommand("top", "")->callback([] { throw Failure("top: not there yet"); });
}

}  // namespace stealth::command
