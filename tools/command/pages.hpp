// Which processes show themselves, and what they show: finds control pages, by process or all of them, and says in one
// line why there is none.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "observe/page.hpp"
#include "page_file.hpp"
#include "processes.hpp"

namespace stealth::command {

// A process with what it said of itself last.
struct View {
  Process process;
  observe::Head head;
  observe::Snapshot snapshot;
  std::uint64_t now;  // CLOCK_MONOTONIC as the process reads it

  [[nodiscard]] observe::Figures const& figures() const { return snapshot.figures; }
  [[nodiscard]] std::string program() const { return text_of(head.program); }
  [[nodiscard]] std::uint64_t age() const { return now > figures().at_ns ? now - figures().at_ns : 0; }
  // Until the figures were written; if that is long ago, the process is stopped, and who waited then still does.
  [[nodiscard]] std::uint64_t waited(observe::WaitingRow const& row) const {
    constexpr std::uint64_t kStopped = 1'500'000'000;
    std::uint64_t const until = age() < kStopped ? figures().at_ns : now;
    return until > row.since_ns ? until - row.since_ns : 0;
  }
  [[nodiscard]] std::uint64_t longest_waiting() const;
};

// PID as it was typed; Failure (usage) where it is no number.
int parse_pid(std::string const& text);

// Opens the page of a process that runs; Failure says why not.
PageFile open_page(Process const& process, PageFile::For purpose);
// The process, or Failure: none of this number, or it has ended.
Process running(int pid);

// Failure says why not.
View view_of(int pid);

struct Listing {
  std::vector<View> views;            // by PID
  std::vector<std::string> troubles;  // pages of running processes that cannot be read, a line each
};
// All that the caller may see. Takes the pages of processes that have ended away.
Listing all_views();

}  // namespace stealth::command
