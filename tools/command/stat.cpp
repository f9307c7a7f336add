// stealth stat: what processes say of themselves, once. It only reads files, so it answers though the process waits or
// is stopped.
#include <sys/stat.h>
#include <unistd.h>

#include <cerrno>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <iostream>
#include <memory>
#include <sstream>

#include "command.hpp"
#include "figures.hpp"

namespace stealth::command {
namespace {

struct Wanted {
  std::string pid, format = "text", output;
};

std::string show_one(View const& view, std::string const& format) {
  std::ostringstream out;
  if (format == "json") {
    write_json(out, view);
  } else if (format == "prometheus") {
    write_prometheus(out, {view});
  } else {
    write_text(out, view);
  }
  return out.str();
}

std::string show_all(std::string const& format) {
  Listing const listing = all_views();
  for (std::string const& trouble : listing.troubles) std::cerr << "stealth: " << trouble << '\n';
  std::ostringstream out;
  if (format == "json") {
    write_json(out, listing.views);
  } else if (format == "prometheus") {
    write_prometheus(out, listing.views);
  } else if (listing.views.empty()) {
    std::cerr << "stealth: stat: no process here shows itself; start one by: stealth run -- PROGRAM\n";
  } else {
    write_table(out, listing.views);
  }
  return out.str();
}

// Whoever reads the file sees the old one or the new one, never a part.
void write_file(std::string const& path, std::string const& text) {
  auto const fail = [&](char const* what) {
    throw Failure(escaped(path) + ": " + what + ": " + std::strerror(errno) +
                  "; give --output a file in a directory "
                  "that you can write");
  };
  struct stat facts {};
  if (lstat(path.c_str(), &facts) == 0 && !S_ISREG(facts.st_mode)) {  // a device must not give way to a file
    throw Failure(escaped(path) + ": is no plain file; give --output another name");
  }
  std::string draft = path + ".XXXXXX";
  File const file(mkstemp(draft.data()));
  if (!file.open()) fail("cannot be written");
  std::size_t done = 0;
  bool good = true;
  while (good && done < text.size()) {
    ssize_t const length = write(file.number(), text.data() + done, text.size() - done);
    good = length > 0 || (length < 0 && errno == EINTR);
    if (length > 0) done += static_cast<std::size_t>(length);
  }
  if (good && fchmod(file.number(), 0644) == 0 && std::rename(draft.c_str(), path.c_str()) == 0) return;
  int const reason = errno;
  unlink(draft.c_str());
  errno = reason;
  fail("cannot be written");
}

void run(Wanted const& wanted) {
  std::string const text =
      wanted.pid.empty() ? show_all(wanted.format) : show_one(view_of(parse_pid(wanted.pid)), wanted.format);
  if (!wanted.output.empty()) return write_file(wanted.output, text);
  std::cout << text << std::flush;
  if (!std::cout) throw Failure("stat: standard output cannot be written; see where it leads");
}

}  // namespace

void add_stat(CLI::App& app, Status&) {
  auto const wanted = std::make_shared<Wanted>();
  CLI::App* const stat = app.add_subcommand("stat",
                                            "what a process under libstealth holds and waits for; all of them "
                                            "without PID");
  stat->add_option("PID", wanted->pid, "the process");
  stat->add_option("--format", wanted->format, "text, json or prometheus")
      ->check(CLI::IsMember({"text", "json", "prometheus"}));
  stat->add_option("--output", wanted->output, "writes this file, whole or not at all, instead of standard output");
  stat->callback([wanted] { run(*wanted); });
}

}  // namespace stealth::command
