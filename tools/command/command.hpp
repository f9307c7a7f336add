// What the files of the `stealth` command share: each adds its subcommands to the command line, and says what is wrong
// in one line. The command reads control pages and files; it knows nothing of the engine.
#pragma once

#include <CLI/CLI.hpp>

#include <stdexcept>
#include <string>

#include "program_line.hpp"

namespace stealth::command {

// Ends the command with one line on stderr, `stealth: what: why; what to do`.
class Failure : public std::runtime_error {
 public:
  static constexpr int kUsage = 2, kFailed = 1;
  explicit Failure(std::string const& line, int status = kFailed) : std::runtime_error(line), status_(status) {}
  [[nodiscard]] int status() const noexcept { return status_; }

 private:
  int status_;
};

// The status that the command ends with, set by the subcommand that ran.
using Status = int;

// `line` is what was given to the subcommand, whichever it is; it outlives the callbacks.
void add_run(CLI::App& app, ProgramLine const& line, Status& status);
void add_settings(CLI::App& app, Status& status);
void add_doctor(CLI::App& app, ProgramLine const& line, Status& status);
void add_stat(CLI::App& app, Status& status);
void add_set(CLI::App& app, Status& status);
void add_top(CLI::App& app, Status& status);
void add_profile(CLI::App& app, Status& status);

}  // namespace stealth::command
