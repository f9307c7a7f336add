// Says on stderr how far a long piece of work is, when that is a terminal. Short work says nothing.
#pragma once

#include <chrono>
#include <cstddef>
#include <string>

namespace stealth::command::profile {

class Progress {
 public:
  Progress(std::string what, std::size_t steps);
  Progress(Progress const&) = delete;
  Progress& operator=(Progress const&) = delete;
  ~Progress();  // takes the line off again

  void step();

 private:
  using Clock = std::chrono::steady_clock;
  std::string what_;
  std::size_t steps_, done_ = 0;
  bool terminal_, shown_ = false;
  Clock::time_point next_;
};

}  // namespace stealth::command::profile
