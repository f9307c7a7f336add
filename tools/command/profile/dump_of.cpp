// The dump of a running process: it is told to write one into the directory that its control page lies in, where it and
// we can reach a file, and nobody else can.
#include "dump_of.hpp"

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cerrno>
#include <cstring>

#include "../command.hpp"
#include "../folders.hpp"
#include "../pages.hpp"
#include "../wishes.hpp"

namespace stealth::command::profile {
namespace {

constexpr std::chrono::seconds kPatienceWithDump{10};
constexpr off_t kMostBytes = 1 << 30;  // a process writes some megabytes; its user may write anything

// Takes the file away at the end, whatever happened.
class Draft {
 public:
  Draft(Folder const& folder, std::string name) : directory_(folder.directory.number()), name_(std::move(name)) {}
  Draft(Draft const&) = delete;
  Draft& operator=(Draft const&) = delete;
  ~Draft() { unlinkat(directory_, name_.c_str(), 0); }

  [[nodiscard]] std::string text(std::string const& who) const {
    File const file(openat(directory_, name_.c_str(), O_RDONLY | O_NOFOLLOW | O_NONBLOCK | O_CLOEXEC));
    struct stat facts {};
    if (!file.open() || fstat(file.number(), &facts) != 0 || !S_ISREG(facts.st_mode) || facts.st_size > kMostBytes)
      throw Failure("profile: " + who + ": its dump cannot be read: " + std::strerror(errno) + "; try again");
    std::string all;
    char piece[65536];
    ssize_t got = 0;
    while ((got = read(file.number(), piece, sizeof piece)) > 0) all.append(piece, static_cast<std::size_t>(got));
    return all;
  }

 private:
  int directory_;
  std::string name_;
};

// The directory of the process's page.
Folder folder_of(Process const& process) {
  static_cast<void>(open_page(process, PageFile::For::reading));  // or why there is none
  for (Folder& folder : folders_of(process)) {
    if (!names_in(folder, "page-" + std::to_string(process.inner) + "-").empty()) return std::move(folder);
  }
  throw Failure("profile: " + std::to_string(process.pid) + ": its control page has just gone; try again");
}

}  // namespace

std::string dump_of(int pid, bool stalls) {
  Process const process = running(pid);
  std::string const who = std::to_string(pid);
  Folder const folder = folder_of(process);
  std::string const name = "dump-" + who + "-" + std::to_string(getpid());
  Draft const draft(folder, name);
  std::string const kind = stalls ? "profile stalls " : "profile heap ";
  Reply const reply = wish(process, kind + name, kPatienceWithDump);
  if (reply.error != 0) throw Failure("profile: " + who + ": " + reply.text);
  return draft.text(who);
}

}  // namespace stealth::command::profile
