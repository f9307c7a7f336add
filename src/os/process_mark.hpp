// A process in one word, told apart from every other that runs or ran since the machine started: something that several
// processes can write and exchange atomically.
//
// A process's number alone is given anew after its end; together with the time of its start it never is. An exec
// changes neither, though all that the process held is gone with it: six bits made of where its stack begins tell (by
// address space randomisation; one exec in 63 goes unnoticed).
#pragma once

#include <cstdint>

namespace stealth::os {

enum class Life : std::uint8_t { runs, ended, unknown };

class ProcessMark {
 public:
  constexpr ProcessMark() = default;  // nobody
  constexpr explicit ProcessMark(std::uint64_t word) : word_(word) {}
  // `start` in clock ticks since boot, `image` any number that an exec changes; 0 where they are not known.
  constexpr ProcessMark(int process, std::uint64_t start, std::uint64_t image)
      : word_((static_cast<std::uint64_t>(process) & kNumberMask) | (start & kStartMask) << kNumberBits |
              (image == 0 ? 0 : 1 + image % 63) << (kNumberBits + kStartBits)) {}

  // The calling process's. Only the number is known where /proc is missing, or belongs to another PID namespace.
  [[nodiscard]] static ProcessMark own() noexcept;

  [[nodiscard]] constexpr std::uint64_t word() const { return word_; }
  [[nodiscard]] constexpr bool is_nobody() const { return word_ == 0; }
  [[nodiscard]] constexpr int number() const { return static_cast<int>(word_ & kNumberMask); }
  [[nodiscard]] constexpr std::uint64_t start() const { return word_ >> kNumberBits & kStartMask; }
  [[nodiscard]] constexpr std::uint64_t image() const { return word_ >> (kNumberBits + kStartBits); }
  // The same process, whatever it executed since.
  [[nodiscard]] constexpr bool same_process(ProcessMark other) const {
    return number() == other.number() && start() == other.start();
  }
  friend constexpr bool operator==(ProcessMark, ProcessMark) = default;

  // Whether that process is still there, running what it ran. A zombie has ended, but for one whose other threads run
  // on. `own` is the caller's mark: where it has no start, /proc cannot be believed, and of a process whose number is
  // in use nothing is known. Two to four system calls.
  [[nodiscard]] Life life(ProcessMark own) const noexcept;

 private:
  static constexpr unsigned kNumberBits = 22;  // Linux gives no greater ones
  static constexpr unsigned kStartBits = 36;   // 21 years at 100 ticks a second
  static constexpr std::uint64_t kNumberMask = (std::uint64_t{1} << kNumberBits) - 1;
  static constexpr std::uint64_t kStartMask = (std::uint64_t{1} << kStartBits) - 1;

  std::uint64_t word_ = 0;
};

// Whether the calling thread is the process's last one but for its first, which has ended and is still counted. False
// where /proc does not tell. Three system calls.
[[nodiscard]] bool is_last_thread() noexcept;

// What else a mark depends on. Two processes that differ in any of these cannot judge each other's marks: they number
// processes, or count the time since boot, differently. 0 where /proc does not tell.
struct ProcessWorld {
  std::uint64_t boot, pid_namespace, time_namespace;
  [[nodiscard]] static ProcessWorld own() noexcept;
  friend constexpr bool operator==(ProcessWorld const&, ProcessWorld const&) = default;
};

}  // namespace stealth::os
