// The `stealth` command: sees and steers programs that run under libstealth. One file a subcommand.
#include <CLI/CLI.hpp>

#include <algorithm>
#include <cstdio>
#include <exception>
#include <string>
#include <vector>

#include "command.hpp"
#include "config/settings.hpp"

namespace {

using stealth::command::Failure;

// The library would only say that a subcommand is missing, whatever stands in its place.
void check_subcommand(CLI::App const& app, std::vector<std::string> const& words) {
  if (words.empty()) throw Failure("no subcommand given; say stealth --help", Failure::kUsage);
  std::string const& word = words[0];
  if (word == "--help" || word == "-h" || word == "--version") return;
  CLI::App const* nearest = nullptr;
  std::size_t least = 0;
  for (CLI::App const* const known : app.get_subcommands([](CLI::App const*) { return true; })) {
    if (known->get_name() == word) return;
    std::size_t const distance = stealth::config::edit_distance(word, known->get_name());
    if (nearest == nullptr || distance < least) {
      nearest = known;
      least = distance;
    }
  }
  throw Failure(word + ": no such subcommand; the nearest is " + nearest->get_name() + ", see stealth --help",
                Failure::kUsage);
}

// One line, whatever names from outside are in it.
int say(std::string line, int status) {
  std::replace_if(
      line.begin(), line.end(), [](unsigned char c) { return c < 0x20 || c == 0x7f; }, '?');
  std::fprintf(stderr, "stealth: %s\n", line.c_str());
  return status;
}

}  // namespace

int main(int argc, char** argv) {
  using namespace stealth::command;
  CLI::App app{"sees and steers programs that run under libstealth", "stealth"};
  app.set_version_flag("--version", "stealth " STEALTH_VERSION);
  app.require_subcommand(1);
  Status status = 0;
  ProgramLine line;
  add_run(app, line, status);
  add_settings(app, status);
  add_doctor(app, line, status);
  add_stat(app, status);
  add_set(app, status);
  add_top(app, status);
  add_profile(app, status);
  try {
    std::vector<std::string> words(argv + std::min(argc, 1), argv + argc);
    check_subcommand(app, words);
    line = take_program_line(words);
    std::reverse(words.begin(), words.end());  // the last word first, as parse() wants them
    app.parse(words);
  } catch (CLI::Success const& help) {  // --help, --version
    return app.exit(help);
  } catch (CLI::ParseError const& error) {
    return say(error.what() + std::string("; try: stealth --help"), Failure::kUsage);
  } catch (Failure const& failure) {
    return say(failure.what(), failure.status());
  } catch (std::exception const& error) {
    return say(error.what(), Failure::kFailed);
  }
  return status;
}
