// stealth profile: where live memory was allocated, or where time was spent waiting.
#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cerrno>
#include <charconv>
#include <cstring>
#include <filesystem>
#include <memory>
#include <optional>

#include "command.hpp"
#include "profile/dump_of.hpp"
#include "profile/input.hpp"
#include "profile/profile.hpp"
#include "profile/writers.hpp"

namespace stealth::command {
namespace {

struct Call {
  std::string target;  // PID|FILE
  std::string format = "text";
  bool stalls = false;
  std::string output;  // empty: stdout
  std::size_t top = 50;
  profile::SymbolOptions symbols;
};

// Digits alone are a process; a file of such a name is ./123.
std::optional<int> process(std::string const& target) {
  if (target.find_first_not_of("0123456789") != std::string::npos) return std::nullopt;
  int pid = 0;
  auto const [end, error] = std::from_chars(target.data(), target.data() + target.size(), pid);
  if (error != std::errc() || pid == 0)
    throw Failure("profile: " + target + ": no process has this id; name a file of digits as ./" + target,
                  Failure::kUsage);
  return pid;
}

void check(Call const& call, bool top_given) {
  if (top_given && call.format != "text")
    throw Failure("profile: --top is for the table alone; leave it out, or take --format text", Failure::kUsage);
  if (call.format == "pprof" && call.output.empty() && isatty(STDOUT_FILENO) == 1)
    throw Failure("profile: pprof's format is binary, and this is a terminal; add --output FILE", Failure::kUsage);
}

void check_dir(std::string const& option, std::string& dir) {
  std::error_code error;
  if (!std::filesystem::is_directory(dir, error))
    throw Failure("profile: " + option + " " + dir + ": no such directory; name one that exists", Failure::kUsage);
  dir = std::filesystem::absolute(dir).lexically_normal().string();
  while (dir.ends_with('/')) dir.pop_back();
}

profile::Dump read(Call& call) {
  auto const pid = process(call.target);
  auto dump = pid ? profile::parse_dump(profile::dump_of(*pid, call.stalls), "process " + call.target)
                  : profile::parse_dump(profile::read_input(call.target), call.target);
  if (call.stalls && dump.kind != profile::Kind::stalls)
    throw Failure("profile: " + call.target + ": this is a heap profile, it has no stalls; leave --stalls out");
  // A process in a container has its files below a root of its own.
  std::error_code error;
  auto const root = "/proc/" + call.target + "/root";
  if (pid && call.symbols.root.empty() && std::filesystem::exists(root + "/", error)) call.symbols.root = root;
  return dump;
}

std::string written(Call const& call, profile::Profile const& profile) {
  if (call.format == "pprof") return write_pprof(profile);
  if (call.format == "folded") return write_folded(profile);
  if (call.format == "speedscope") return write_speedscope(profile);
  if (call.format == "svg") return write_svg(profile);
  return write_text(profile, call.top);
}

void put(Call const& call, std::string const& text) {
  int const file =
      call.output.empty() ? STDOUT_FILENO : open(call.output.c_str(), O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0666);
  bool good = file >= 0;
  for (std::size_t done = 0; good && done < text.size();) {
    auto const wrote = write(file, text.data() + done, text.size() - done);
    if (wrote >= 0) done += static_cast<std::size_t>(wrote);
    good = wrote >= 0 || errno == EINTR;
  }
  if (good && !call.output.empty()) good = close(file) == 0;
  if (!good)
    throw Failure("profile: " + (call.output.empty() ? "stdout" : call.output) + ": " + std::strerror(errno) +
                  "; write to another place with --output FILE");
}

void show(Call& call, bool top_given) {
  check(call, top_given);
  if (!call.symbols.root.empty()) check_dir("--root", call.symbols.root);
  for (auto& dir : call.symbols.debug_dirs) check_dir("--debug-dir", dir);
  unsetenv("DEBUGINFOD_URLS");  // libdwfl would ask servers in the network
  auto const profile = make_profile(read(call), call.symbols);
  for (auto const& note : profile.notes) std::fprintf(stderr, "stealth: profile: %s\n", note.c_str());
  put(call, written(call, profile));
}

}  // namespace

void add_profile(CLI::App& app, Status&) {
  auto* const sub = app.add_subcommand("profile", "where live memory was allocated, or where time was spent waiting");
  auto const call = std::make_shared<Call>();
  sub->add_option("target", call->target, "the id of a process, or a dump that one wrote")
      ->required()
      ->type_name("PID|FILE");
  sub->add_option("--format", call->format, "what to write")
      ->check(CLI::IsMember({"pprof", "folded", "speedscope", "svg", "text"}))
      ->type_name("FORMAT")
      ->capture_default_str();
  sub->add_flag("--stalls", call->stalls, "of a process: where it waited; a file tells by itself what it is");
  sub->add_option("--output", call->output, "instead of stdout")->type_name("FILE");
  auto* const top =
      sub->add_option("--top", call->top, "rows of the table; 0: all")->type_name("N")->capture_default_str();
  sub->add_option("--root", call->symbols.root, "where the process's / is, as seen from here; of a PID: /proc/PID/root")
      ->type_name("DIR");
  sub->add_option("--debug-dir", call->symbols.debug_dirs, "where debug files are, by build-id; also /usr/lib/debug")
      ->type_name("DIR")
      ->allow_extra_args(false);
  sub->add_flag("--all-frames", call->symbols.all_frames, "with libstealth's own functions at the end of each stack");
  sub->callback([call, top] { show(*call, top->count() > 0); });
}

}  // namespace stealth::command
