// See pages.hpp. A page that says that it is somebody's is believed when it lies in a directory of that user, bears the
// process's number and start, and the process still runs the image that made it.
#include "pages.hpp"

#include <fcntl.h>
#include <signal.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <ctime>
#include <optional>
#include <set>

#include "command.hpp"
#include "folders.hpp"
#include "os/process_mark.hpp"

namespace stealth::command {
namespace {

using os::Life;
using os::ProcessMark;
using os::ProcessWorld;
using Why = Unreadable::Why;

constexpr char kPrefix[] = "page-";
constexpr std::uint64_t kFirstPidNamespace = 0xEFFFFFFC;  // PROC_PID_INIT_INO: the machine's own

ProcessWorld const& our_world() {
  static ProcessWorld const world = ProcessWorld::own();
  return world;
}

// Whether the process that we see as `pid` made this page. The mark bears the number in the process's own namespace;
// its start can be compared only where time is counted alike.
Life life_of(observe::Head const& head, int pid) {
  static ProcessMark const own = ProcessMark::own();
  ProcessWorld const& world = our_world();
  if (head.boot != 0 && world.boot != 0 && head.boot != world.boot) return Life::ended;
  bool const same_time = head.time_namespace == 0 || head.time_namespace == world.time_namespace;
  ProcessMark const mark(head.mark);
  // The constructor folds an image into 1 to 63: one that is folded already comes out as it was.
  std::uint64_t const image = mark.image() == 0 ? 0 : mark.image() + 62;
  return ProcessMark(pid, same_time ? mark.start() : 0, image).life(own);
}

// Processes of two PID namespaces may share a directory, and bear equal numbers.
bool of_its_namespace(observe::Head const& head, int pid) {
  std::string const link = proc_link(pid, "ns/pid");  // pid:[4026531836]
  std::size_t const begin = link.find('[') + 1, end = link.find(']');
  if (head.pid_namespace == 0 || begin == 0 || end == std::string::npos) return true;
  return whole_number(std::string_view(link).substr(begin, end - begin)) == head.pid_namespace;
}

// The two numbers in page-PID-START.
struct Name {
  std::uint64_t pid, start;
};
std::optional<Name> parse_name(std::string_view name) {
  std::string_view const rest = name.substr(std::min(name.size(), sizeof kPrefix - 1));
  std::size_t const dash = rest.find('-');
  if (dash == std::string_view::npos) return std::nullopt;
  auto const pid = whole_number(rest.substr(0, dash)), start = whole_number(rest.substr(dash + 1));
  if (!pid || !start || *pid > INT32_MAX) return std::nullopt;
  return Name{*pid, *start};
}

PageFile open_checked(Folder const& folder, std::string const& name, PageFile::For purpose) {
  PageFile page(folder.directory.number(), name, folder.owner, purpose);
  auto const numbers = parse_name(name);
  ProcessMark const mark(page.head().mark);
  if (!numbers || numbers->pid != page.head().process || numbers->start != mark.start() ||
      page.head().user != folder.number) {
    throw Unreadable(Why::damaged, "is damaged: its head and its name tell of two processes");
  }
  return page;
}

std::string hint(Why why) {
  switch (why) {
    case Why::version:
      return "use the command of the libstealth that the process runs under";
    case Why::empty:
      return "try again in a second";
    case Why::refused:
      return "try as root";
    default:
      return "remove the file, and start the process anew to get another";
  }
}

Failure no_page(Process const& process) {
  std::string const name = std::to_string(process.pid);
  std::string const maps = proc_file(process.pid, "maps");
  if (maps.find("/libstealth.so") != std::string::npos) {
    std::string const environment = '\0' + proc_file(process.pid, "environ");
    bool const off = environment.find(std::string("\0STEALTH_CONTROL=off", 20)) != std::string::npos;
    return Failure(off ? name +
                             ": has no control page: it was started with STEALTH_CONTROL=off; start it with "
                             "STEALTH_CONTROL=on"
                       : name +
                             ": has no control page yet: STEALTH_CONTROL=auto makes it when 16 MiB are held; wait, or "
                             "start it by stealth run or with STEALTH_CONTROL=on");
  }
  if (!maps.empty()) {
    return Failure(name + ": runs without libstealth; start it by: stealth run -- PROGRAM");
  }
  return Failure(name +
                 ": has no control page: no libstealth, or less than 16 MiB held; start it by: stealth run -- "
                 "PROGRAM");
}

View view_from(Process const& process, PageFile const& page) {
  return {process, page.head(), page.snapshot(), clock_of(process.pid)};
}

// The process has ended when nothing that started at that moment bears the number any more. One that executed another
// program goes on, and may be about to take the name over.
void sweep(Folder const& folder, std::string const& name, PageFile const& page) {
  auto const process = look_at(static_cast<int>(page.head().process));
  std::uint64_t const start = ProcessMark(page.head().mark).start();
  if (process && !process->ended() && (start == 0 || process->start == start)) return;
  struct stat facts {};
  int const directory = folder.directory.number();
  if (fstatat(directory, name.c_str(), &facts, AT_SYMLINK_NOFOLLOW) == 0 && facts.st_ino == page.inode()) {
    unlinkat(directory, name.c_str(), 0);
  }
}

// What a process left that was killed while it made its page: nobody takes a minute over that.
void sweep_draft(Folder const& folder, std::string const& name) {
  struct stat facts {};
  int const directory = folder.directory.number();
  if (fstatat(directory, name.c_str(), &facts, AT_SYMLINK_NOFOLLOW) != 0 || !S_ISREG(facts.st_mode)) return;
  if (facts.st_mtime + 60 < std::time(nullptr)) unlinkat(directory, name.c_str(), 0);
}

// Whether no process is left in that PID namespace. Only root in the machine's own one sees all processes.
bool is_empty_namespace(std::uint64_t number) {
  if (geteuid() != 0 || our_world().pid_namespace != kFirstPidNamespace) return false;
  std::string const link = "pid:[" + std::to_string(number) + "]";
  for (int const pid : all_processes()) {
    std::string const its = proc_link(pid, "ns/pid");
    if (its == link || (its.empty() && look_at(pid))) return false;
  }
  return true;
}

void look_into(Folder const& folder, std::string const& name, std::set<int>& seen, Listing& listing) {
  auto const numbers = parse_name(name);
  if (!numbers) {
    if (name.find('~') != std::string::npos) sweep_draft(folder, name);
    return;
  }
  int const pid = static_cast<int>(numbers->pid);
  try {
    PageFile const page = open_checked(folder, name, PageFile::For::reading);
    ProcessWorld const& world = our_world();
    if (page.head().pid_namespace != 0 && page.head().pid_namespace != world.pid_namespace) {
      if (is_empty_namespace(page.head().pid_namespace)) unlinkat(folder.directory.number(), name.c_str(), 0);
      return;
    }
    Life const life = life_of(page.head(), pid);
    if (life == Life::ended) return sweep(folder, name, page);
    auto const process = look_at(pid);
    // Another user may call a page anything; a process's own is in a directory of one of its users.
    if (!process || std::find(process->users.begin(), process->users.end(), folder.owner) == process->users.end())
      return;
    if (!seen.insert(pid).second) return;
    listing.views.push_back(view_from(*process, page));
  } catch (Unreadable const& trouble) {
    auto const process = look_at(pid);
    bool const same = process && process->start == numbers->start;
    if (!same || trouble.why() == Why::gone || trouble.why() == Why::empty) return;
    listing.troubles.push_back(folder.path + "/" + name + ": " + trouble.what() + "; " + hint(trouble.why()));
  }
}

// Containers: processes that number themselves otherwise, or see other files.
void look_elsewhere(std::set<int>& seen, Listing& listing) {
  for (int const pid : all_processes()) {
    if (seen.count(pid) != 0 || (shares_namespace(pid, "pid") && shares_namespace(pid, "mnt"))) continue;
    try {
      listing.views.push_back(view_of(pid));
      seen.insert(pid);
    } catch (Failure const&) {  // most have nothing to do with libstealth
      continue;
    }
  }
}

}  // namespace

std::uint64_t View::longest_waiting() const {
  std::uint64_t longest = 0;
  for (std::uint32_t i = 0; i < snapshot.waiting; ++i) longest = std::max(longest, waited(snapshot.waiting_rows[i]));
  return longest;
}

int parse_pid(std::string const& text) {
  auto const number = whole_number(text);
  if (!number || *number == 0 || *number > INT32_MAX) {
    throw Failure(escaped(text) + ": not a process id; give a number, or see: stealth stat", Failure::kUsage);
  }
  return static_cast<int>(*number);
}

Process running(int pid) {
  std::string const name = std::to_string(pid);
  auto process = look_at(pid);
  if (!process) {
    bool const hidden = kill(pid, 0) != 0 && errno == EPERM;
    if (hidden) throw Failure(name + ": belongs to another user; try as root");
    throw Failure(name + ": no such process; see: stealth stat");
  }
  if (process->ended()) throw Failure(name + ": the process has ended; see: stealth stat");
  std::uint32_t const me = geteuid();
  if (me != 0 && std::find(process->users.begin(), process->users.end(), me) == process->users.end()) {
    throw Failure(name + ": belongs to another user; try as root");
  }
  return *process;
}

PageFile open_page(Process const& process, PageFile::For purpose) {
  std::string const beginning = kPrefix + std::to_string(process.inner) + "-";
  std::string trouble;
  for (Folder const& folder : folders_of(process)) {
    for (std::string const& name : names_in(folder, beginning)) {
      try {
        PageFile page = open_checked(folder, name, purpose);
        bool const its = of_its_namespace(page.head(), process.pid);
        if (its && life_of(page.head(), process.pid) != Life::ended) return page;
      } catch (Unreadable const& why) {
        auto const numbers = parse_name(name);
        bool const its = numbers && (numbers->start == process.start || !shares_namespace(process.pid, "time"));
        if (its && why.why() != Why::gone && trouble.empty()) {
          trouble = folder.path + "/" + name + " " + why.what() + "; " + hint(why.why());
        }
      }
    }
  }
  if (!trouble.empty()) throw Failure(std::to_string(process.pid) + ": the control page " + trouble);
  throw no_page(process);
}

View view_of(int pid) {
  Process const process = running(pid);
  PageFile const page = open_page(process, PageFile::For::reading);
  try {
    return view_from(process, page);
  } catch (Unreadable const& why) {
    throw Failure(std::to_string(pid) + ": the control page " + why.what() + "; " + hint(why.why()));
  }
}

Listing all_views() {
  Listing listing;
  std::set<int> seen;
  for (Folder const& folder : own_folders()) {
    for (std::string const& name : names_in(folder, kPrefix)) look_into(folder, name, seen, listing);
  }
  look_elsewhere(seen, listing);
  std::sort(listing.views.begin(), listing.views.end(),
            [](View const& a, View const& b) { return a.process.pid < b.process.pid; });
  return listing;
}

}  // namespace stealth::command
