// What /proc tells of other processes, as the command needs it. Nothing here fails: what cannot be read is absent.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

namespace stealth::command {

// A descriptor that is closed at the end of its block.
class File {
 public:
  File() = default;
  explicit File(int number) : number_(number) {}
  File(File&& other) noexcept : number_(other.number_) { other.number_ = -1; }
  File& operator=(File&& other) noexcept;
  File(File const&) = delete;
  File& operator=(File const&) = delete;
  ~File();
  [[nodiscard]] int number() const { return number_; }
  [[nodiscard]] bool open() const { return number_ >= 0; }

 private:
  int number_ = -1;
};

struct Process {
  int pid = 0;                       // as the command sees it
  int inner = 0;                     // as the process itself sees it, in its own PID namespace
  char state = '?';                  // as in proc(5): T is stopped by a signal, t by a tracer, Z has ended
  std::uint64_t start = 0;           // clock ticks since the machine started
  std::uint64_t resident = 0;        // bytes
  std::vector<std::uint32_t> users;  // real, effective, saved, of files: without repetition
  [[nodiscard]] bool stopped() const { return state == 'T' || state == 't'; }
  [[nodiscard]] bool ended() const { return state == 'Z' || state == 'X'; }
};

std::optional<Process> look_at(int pid);
std::vector<int> all_processes();

// The file /proc/PID/NAME, at most 4 MiB of it; empty where it cannot be read.
std::string proc_file(int pid, char const* name);
// Where the link /proc/PID/NAME leads; empty where it cannot be read. PID 0: the command itself.
std::string proc_link(int pid, char const* name);
// Whether it lives in the command's namespace of this kind (mnt, pid, time, user); also where that cannot be told.
bool shares_namespace(int pid, char const* kind);

// CLOCK_MONOTONIC as the process reads it: another time namespace counts from another moment.
std::uint64_t clock_of(int pid);

// A number in decimal and nothing else.
std::optional<std::uint64_t> whole_number(std::string_view text);

}  // namespace stealth::command
