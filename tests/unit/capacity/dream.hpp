// Time that passes in sleeps only. While a Dream lives, the room's clock stands still, and who sleeps on a futex sleeps
// at no cost: the clock jumps to the end of the sleep, or to what was to happen before. So the longest waits are tested
// in no time, to the nanosecond. For one thread; what happens meanwhile may be done by puppets.
#pragma once

#include <cstdint>
#include <functional>
#include <map>
#include <vector>

namespace stealth::test {

class Dream {
 public:
  Dream();
  ~Dream();
  Dream(Dream const&) = delete;
  Dream& operator=(Dream const&) = delete;

  [[nodiscard]] std::uint64_t now() const { return now_; }
  bool coarse_too = false;  // the coarse clock is the dream's as well
  // What happens in so many nanoseconds from now; `every`: and again, for ever.
  void in(std::uint64_t ns, std::function<void()> what) { events_.emplace(now_ + ns, std::move(what)); }
  void every(std::uint64_t ns, std::function<void()> what);
  void nothing_more() { events_.clear(); }
  // The dreamer is busy for so long.
  void pass(std::uint64_t ns);

  struct Sleep {
    std::uint64_t begin, end;
  };
  std::vector<Sleep> sleeps;  // since the beginning
  [[nodiscard]] std::uint64_t slept() const;
  [[nodiscard]] std::uint64_t longest() const;

 private:
  [[nodiscard]] bool happened(std::uint64_t end);  // the next event before `end`
  static long wait(std::uint32_t const* word, std::uint32_t expected, std::uint64_t ns);
  static void wake(std::uint32_t const* word);

  std::uint64_t now_ = 1000 * std::uint64_t{1'000'000'000};
  std::multimap<std::uint64_t, std::function<void()>> events_;
  std::uint32_t const* asleep_on_ = nullptr;
  bool woken_ = false;
};

}  // namespace stealth::test
