// stealth profile.
#include "command.hpp"

namespace stealth::command {

void add_profile(CLI::App& app, Status&) {
  app.add_subcommand("profile", "")->callback([] { throw Failure("profile: not there yet"); });
}

}  // namespace stealth::command
