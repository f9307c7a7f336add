// See dream.hpp. Linked with --wrap=clock_gettime.
#include "dream.hpp"

#include <algorithm>
#include <cerrno>
#include <ctime>

#include "fake_sys.hpp"

namespace {
stealth::test::Dream* g_dream = nullptr;
}

extern "C" {
int __real_clock_gettime(clockid_t clock, timespec* into);
int __wrap_clock_gettime(clockid_t clock, timespec* into);
int __wrap_clock_gettime(clockid_t clock, timespec* into) {
  bool const dreams =
      g_dream != nullptr && (clock == CLOCK_MONOTONIC || (clock == CLOCK_MONOTONIC_COARSE && g_dream->coarse_too));
  if (!dreams) return __real_clock_gettime(clock, into);
  *into = {static_cast<time_t>(g_dream->now() / 1'000'000'000), static_cast<long>(g_dream->now() % 1'000'000'000)};
  return 0;
}
}

namespace stealth::test {

Dream::Dream() {
  static constexpr fake::Futexes kRules = {wait, wake};
  g_dream = this;
  fake::futexes_by(&kRules);
}

Dream::~Dream() {
  fake::futexes_by(nullptr);
  g_dream = nullptr;
}

void Dream::every(std::uint64_t ns, std::function<void()> what) {
  in(ns, [this, ns, what = std::move(what)] {
    what();
    every(ns, what);
  });
}

bool Dream::happened(std::uint64_t end) {
  auto const next = events_.begin();
  if (next == events_.end() || next->first > end) return false;
  now_ = std::max(now_, next->first);
  auto const what = std::move(next->second);
  events_.erase(next);
  what();
  return true;
}

void Dream::pass(std::uint64_t ns) {
  std::uint64_t const end = now_ + ns;
  while (happened(end)) {
  }
  now_ = end;
}

std::uint64_t Dream::slept() const {
  std::uint64_t sum = 0;
  for (Sleep const& one : sleeps) sum += one.end - one.begin;
  return sum;
}

std::uint64_t Dream::longest() const {
  std::uint64_t most = 0;
  for (Sleep const& one : sleeps) most = std::max(most, one.end - one.begin);
  return most;
}

long Dream::wait(std::uint32_t const* word, std::uint32_t expected, std::uint64_t ns) {
  Dream& dream = *g_dream;
  if (__atomic_load_n(word, __ATOMIC_SEQ_CST) != expected) return -EAGAIN;
  std::uint64_t const begin = dream.now_, end = begin + ns;
  dream.asleep_on_ = word;
  dream.woken_ = false;
  while (!dream.woken_ && dream.happened(end)) {
  }
  if (!dream.woken_) dream.now_ = std::max(dream.now_, end);  // what happened may have taken longer
  dream.asleep_on_ = nullptr;
  dream.sleeps.push_back({begin, dream.now_});
  return dream.woken_ ? 0 : -ETIMEDOUT;
}

void Dream::wake(std::uint32_t const* word) {
  if (word == g_dream->asleep_on_) g_dream->woken_ = true;
}

}  // namespace stealth::test
