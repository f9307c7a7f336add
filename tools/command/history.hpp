// What a process did while `stealth top` looked on: how often it waits, and the last minutes of held and waits.
#pragma once

#include <cstdint>
#include <map>
#include <vector>

#include "pages.hpp"

namespace stealth::command {

class History {
 public:
  static constexpr double kColumnSeconds = 2;

  void note(View const& view);
  [[nodiscard]] double waits_per_second() const;
  // The last `count` columns of kColumnSeconds each, the newest last; those before it was looked at are 0.
  [[nodiscard]] std::vector<double> held(int count) const { return last(held_, count); }
  [[nodiscard]] std::vector<double> waits(int count) const { return last(waits_, count); }

 private:
  // The count of waits at a moment of the process's clock.
  struct Mark {
    std::uint64_t at, waits;
  };

  static std::vector<double> last(std::vector<double> const& columns, int count);

  std::vector<double> held_, waits_;
  std::uint64_t column_ = 0;  // the number of the newest
  std::vector<Mark> marks_;   // of the last seconds
};

// By mark: a number may be given to another process.
using Histories = std::map<std::uint64_t, History>;

}  // namespace stealth::command
