// A write where nobody reads (SIGPIPE), or beyond RLIMIT_FSIZE (SIGXFSZ), is answered with a signal that ends the
// program, beside the error. The program has written nothing: while one of these lives, its thread gets the error
// alone.
#pragma once

#include <sys/syscall.h>

#include <cerrno>
#include <csignal>
#include <ctime>

#include "os/internal.hpp"
#include "os/os.hpp"

namespace stealth::os {

class WithoutWriteSignals {
 public:
  WithoutWriteSignals() noexcept {
    blocked_ = sys(SYS_rt_sigprocmask, SIG_BLOCK, address(&kThem), address(&before_), sizeof kThem) == 0;
    // What a program blocks may wait for it already; what it does not block cannot.
    if (blocked_ && (before_ & kThem) != 0) sys(SYS_rt_sigpending, address(&its_own_), sizeof its_own_);
  }
  ~WithoutWriteSignals() {
    if (!blocked_) return;
    std::uint64_t const ours = kThem & ~its_own_;
    timespec const at_once = {0, 0};
    while (came_ && sys(SYS_rt_sigtimedwait, address(&ours), 0, address(&at_once), sizeof ours) > 0) {
    }
    sys(SYS_rt_sigprocmask, SIG_SETMASK, address(&before_), 0, sizeof before_);
  }
  WithoutWriteSignals(WithoutWriteSignals const&) = delete;
  WithoutWriteSignals& operator=(WithoutWriteSignals const&) = delete;

  // Takes note of what a call has answered, and gives it back.
  long answered(long result) noexcept {
    came_ = came_ || result == -EPIPE || result == -EFBIG;
    return result;
  }

 private:
  // As the kernel counts signals.
  static constexpr std::uint64_t kThem = std::uint64_t{1} << (SIGPIPE - 1) | std::uint64_t{1} << (SIGXFSZ - 1);

  bool blocked_ = false;
  bool came_ = false;          // one of them, or it may have
  std::uint64_t before_ = 0;   // what the thread had blocked
  std::uint64_t its_own_ = 0;  // what waited for it before
};

}  // namespace stealth::os
