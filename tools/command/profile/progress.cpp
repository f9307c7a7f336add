// Says on stderr how far a long piece of work is.
#include "progress.hpp"

#include <unistd.h>

#include <cstdio>

namespace stealth::command::profile {

Progress::Progress(std::string what, std::size_t steps)
    : what_(std::move(what)),
      steps_(steps),
      terminal_(isatty(STDERR_FILENO) == 1),
      next_(Clock::now() + std::chrono::milliseconds(500)) {}

Progress::~Progress() {
  if (shown_) std::fputs("\r\033[K", stderr);
}

void Progress::step() {
  ++done_;
  if (!terminal_ || Clock::now() < next_) return;
  std::fprintf(stderr, "\rstealth: %s %zu of %zu\033[K", what_.c_str(), done_, steps_);
  std::fflush(stderr);
  shown_ = true;
  next_ = Clock::now() + std::chrono::milliseconds(100);
}

}  // namespace stealth::command::profile
