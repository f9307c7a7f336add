// See machine.hpp. Memory, the kernel and its settings are here; limits of the process and files in process_limits.cpp.
#include "machine.hpp"

#include <sys/utsname.h>
#include <unistd.h>

#include <cstdio>
#include <cstdlib>
#include <filesystem>
#include <optional>
#include <utility>

#include "machine_parts.hpp"
#include "needed.hpp"
#include "os/cgroup.hpp"
#include "os/os.hpp"
#include "settings_view.hpp"

namespace stealth::command {

namespace {

constexpr std::uint64_t kAutomaticShare = 950;  // parts per thousand of the cgroup's limit: capacity `auto`
constexpr std::uint64_t kUsualMappings = 65530;
constexpr std::size_t kLargestPage = 16384;

// What the process may have, as STEALTH_CAPACITY understands it.
std::string effective_capacity(config::Capacity const& wanted, std::uint64_t cgroup_limit) {
  using Kind = config::Capacity::Kind;
  bool const limited = cgroup_limit != os::kUnlimited;
  std::uint64_t const ram = os::physical_memory();
  switch (wanted.kind) {
    case Kind::none:
      return "none";
    case Kind::bytes:
      return size_text(wanted.value);
    case Kind::share:
      return size_text((limited && cgroup_limit < ram ? cgroup_limit : ram) / config::whole * wanted.value);
    case Kind::automatic:
      break;
  }
  return limited ? size_text(cgroup_limit / config::whole * kAutomaticShare) + ", for the whole cgroup"
                 : "none: there is no cgroup with a memory limit";
}

void look_at_cgroup(Findings& found) {
  bool const unified = ::access("/sys/fs/cgroup/cgroup.controllers", R_OK) == 0;
  bool const old = ::access("/sys/fs/cgroup/memory", R_OK) == 0;
  std::string const version = unified ? "v2" : old ? "v1" : "none mounted";
  os::CgroupMemory cgroup;
  os::CgroupMemory::Reading reading{};
  bool const limited = cgroup.find();
  Finding finding = {Level::ok, "cgroup", version + ", no memory limit", "", ""};
  if (limited && cgroup.read(reading)) {
    finding.found = version + ", " + size_text(reading.used) + " used of " + size_text(reading.limit) +
                    " (the level with the least room)";
    if (reading.used >= reading.limit / config::whole * kAutomaticShare) {
      finding.level = Level::warn;
      finding.why = "what others use fills it already: with capacity auto, the program waits from its start";
      finding.todo = "raise the limit, or give the program a capacity of its own (--capacity)";
    }
  } else if (limited) {
    finding = {Level::warn, "cgroup", version + ", its figures cannot be read",
               "capacity auto has nothing to compare with", "mount /sys/fs/cgroup, or give a capacity (--capacity)"};
  }
  found.push_back(std::move(finding));
  config::Config const config = view_environment(environ).config;
  found.push_back({Level::ok, "capacity",
                   print_value(*config::find_setting("capacity"), config) + " here means " +
                       effective_capacity(config.capacity, limited ? cgroup.limit() : os::kUnlimited),
                   "", ""});
}

void look_at_memory(Findings& found) {
  std::uint64_t const available = meminfo("MemAvailable");
  found.push_back(
      {Level::ok, "memory",
       size_text(os::physical_memory()) + (available == 0 ? "" : ", " + size_text(available) + " available"), "", ""});
  std::string const huge = first_line("/sys/kernel/mm/transparent_hugepage/enabled");
  std::size_t const open = huge.find('['), close = huge.find(']');
  bool const known = open != std::string::npos && close != std::string::npos;
  std::string const setting = known ? huge.substr(open + 1, close - open - 1) : "not there";
  Finding finding = {Level::ok, "huge pages", setting, "", ""};
  if (setting == "never" || !known) finding.found += ": STEALTH_HUGE_PAGES has no effect";
  found.push_back(std::move(finding));
}

void look_at_overcommit(Findings& found) {
  std::string const mode = first_line("/proc/sys/vm/overcommit_memory");
  Finding finding = {Level::ok, "overcommit", mode.empty() ? "cannot be read" : "mode " + mode, "", ""};
  if (mode == "2") {
    finding.level = Level::warn;
    finding.found +=
        ", " + size_text(meminfo("Committed_AS")) + " of " + size_text(meminfo("CommitLimit")) + " promised";
    finding.why =
        "the kernel refuses memory beyond its commit limit, whatever the capacity; addresses that libstealth "
        "reserves do not count";
    finding.todo = "keep the capacity below what is left of it";
  }
  found.push_back(std::move(finding));
  std::uint64_t const mappings = number_in("/proc/sys/vm/max_map_count");
  finding = {Level::ok, "mappings", mappings == 0 ? "cannot be read" : "at most " + std::to_string(mappings), "", ""};
  if (mappings != 0 && mappings < kUsualMappings) {
    finding.level = Level::warn;
    finding.why = "memory that goes back piecemeal, buffers and guard pages take mappings of their own";
    finding.todo = "sysctl vm.max_map_count=" + std::to_string(kUsualMappings);
  }
  found.push_back(std::move(finding));
}

void look_at_kernel(Findings& found) {
  struct utsname names {};
  ::uname(&names);
  int major = 0, minor = 0;
  static_cast<void>(std::sscanf(names.release, "%d.%d", &major, &minor));
  Finding finding = {Level::ok, "kernel", std::string(names.sysname) + " " + names.release + ", " + names.machine, "",
                     ""};
  if (major < 4 || (major == 4 && minor < 14)) {
    finding.level = Level::warn;
    finding.why = "before Linux 4.14 it has no barrier for all threads of a process (membarrier) as libstealth uses it";
    finding.todo = "use a newer kernel";
  }
  found.push_back(std::move(finding));
  if (os::page_size() > kLargestPage) {
    found.push_back({Level::bad, "page size", size_text(os::page_size()),
                     "with pages above 16 KiB libstealth passes everything to the next allocator",
                     "use a kernel with smaller pages"});
  }
}

// libstealth.so loads it from its own directory when a profile runs, and it brings libunwind in.
void look_at_unwinder(Library const& library, Findings& found) {
  std::filesystem::path const path = std::filesystem::path(library.path).parent_path() / "libstealth-unwind.so.0";
  std::optional<ElfFile> const unwinder = read_elf(path.string());
  Finding finding = {Level::ok, "profiles", "stacks by " + path.string(), "", ""};
  if (!unwinder) {
    finding = {Level::warn, "profiles", path.string() + " is not there", "without it profiles have no stacks",
               "build libstealth where libunwind is installed (libunwind-dev)"};
  } else if (Linked const linked = linked_libraries(*unwinder); !linked.missing.empty()) {
    finding = {Level::warn, "profiles", linked.missing[0] + " not found", "without it profiles have no stacks",
               "install libunwind (libunwind8)"};
  }
  found.push_back(std::move(finding));
}

}  // namespace

Findings machine_findings(Library const& library) {
  Findings found;
  look_at_cgroup(found);
  look_at_memory(found);
  look_at_overcommit(found);
  look_at_kernel(found);
  look_at_limits(found);
  look_at_directories(found);
  look_at_process(found);
  look_at_unwinder(library, found);
  return found;
}

}  // namespace stealth::command
