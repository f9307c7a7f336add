// The `stealth` command: sees and steers programs that run under libstealth. One file a subcommand.
#include <CLI/CLI.hpp>

#include <cstdio>
#include <exception>

#include "command.hpp"

int main(int argc, char** argv) {
  using namespace stealth::command;
  CLI::App app{"sees and steers programs that run under libstealth", "stealth"};
  app.set_version_flag("--version", "stealth " STEALTH_VERSION);
  app.require_subcommand(1);
  Status status = 0;
  add_run(app, status);
  add_settings(app, status);
  add_doctor(app, status);
  add_stat(app, status);
  add_set(app, status);
  add_top(app, status);
  add_profile(app, status);
  try {
    app.parse(argc, argv);
  } catch (CLI::Success const& help) {  // --help, --version
    return app.exit(help);
  } catch (CLI::ParseError const& error) {
    std::fprintf(stderr, "stealth: %s; try: stealth --help\n", error.what());
    return Failure::kUsage;
  } catch (Failure const& failure) {
    std::fprintf(stderr, "stealth: %s\n", failure.what());
    return failure.status();
  } catch (std::exception const& error) {
    std::fprintf(stderr, "stealth: %s\n", error.what());
    return Failure::kFailed;
  }
  return status;
}
