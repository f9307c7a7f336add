// The law: how long to wait, and how long to hope. Pure arithmetic, so that it can be tested, plotted and compared
// without waiting. The reasons are told in docs/backpressure.md.
#pragma once

#include <cstdint>

#include "base/units.hpp"

namespace stealth {

// What the user sets.
struct BackoffLimits {
  std::uint64_t max_wait_ns = 100'000'000;        // the longest single sleep, jitter included
  std::uint64_t patience_ns = 1'000'000'000;      // the longest one call waits while nobody releases anything
  std::uint64_t max_elapsed_ns = 15'000'000'000;  // the longest one call waits in all
  std::uint32_t budget = 500;                     // thousandths of the time that a thread may wait for nothing
  std::uint32_t jitter = 500;                     // thousandths: sleeps are drawn from plus or minus this share
};

// Below this a sleep costs more than it delays: debts are left to add up.
inline constexpr std::uint64_t kShortestSleep = 200'000;
// The time within which what is missing to the goal, or to an average, is made up.
inline constexpr std::uint64_t kLawWindowNs = 100'000'000;

// Bytes that may be admitted per second above the soft point: as much as is released, and a part of the room that is
// left to the goal, just below the capacity. So the process comes to rest there, and not at the hard limit.
[[nodiscard]] constexpr std::uint64_t admission_rate(std::uint64_t capacity, std::uint64_t used,
                                                     std::uint64_t released_per_s) {
  constexpr std::uint64_t kLeast = kMiB;
  std::uint64_t const goal = capacity / 64 * 63;
  std::uint64_t const room = used < goal ? goal - used : 0;
  return max(kLeast, released_per_s + room * (1'000'000'000 / kLawWindowNs));
}

enum class Phase : std::uint8_t {
  approach,   // between the soft point and the capacity: others release, so the rate is matched to theirs
  wait,       // at the capacity, one sleep of several: somebody may release something
  overdraft,  // over it, where nobody releases: slowed, as far as the budget of fruitless waiting goes
};

struct Situation {
  Phase phase = Phase::wait;
  std::uint64_t capacity = 0, used = 0;  // bytes
  std::uint64_t bytes = 0;      // approach: the debt, what was asked for beyond the rate; overdraft: the request
  std::uint64_t rate = 1;       // approach: admission_rate()
  std::uint32_t fruitless = 0;  // sleeps in a row during which nothing was released
};

// The one delay, before jitter; at most max_wait_ns.
[[nodiscard]] constexpr std::uint64_t delay_ns(BackoffLimits const& limits, Situation const& now) {
  std::uint64_t delay = 0;
  switch (now.phase) {
    case Phase::approach: {
      constexpr std::uint32_t kMostFading = 4;  // sleeps that bring nothing are shortened, down to a sixteenth
      std::uint64_t const us =
          min(now.bytes, std::uint64_t{kGiB} * 1024) * 1000 / max(now.rate / 1000, std::uint64_t{1});
      delay = us * 1000 >> min(now.fruitless, kMostFading);
      break;
    }
    case Phase::wait:
      delay = now.fruitless < 32 ? kShortestSleep << now.fruitless : ~std::uint64_t{0};
      break;
    case Phase::overdraft: {  // 1 ms for 64 KiB, times the square of the fill ratio
      std::uint64_t const fill = min(now.used / max(now.capacity / 16, std::uint64_t{1}), std::uint64_t{1} << 12);
      delay = min(now.bytes, std::uint64_t{kGiB}) * 1'000'000 / (64 * kKiB) * fill * fill / 256;
      break;
    }
  }
  return min(delay, limits.max_wait_ns);
}

// Plus or minus the jitter's share, never above max_wait_ns.
[[nodiscard]] constexpr std::uint64_t jittered(BackoffLimits const& limits, std::uint64_t ns, std::uint32_t random) {
  std::uint64_t const range = ns / 1000 * limits.jitter;
  return min(ns - range + (2 * range >> 16) * (random >> 16), limits.max_wait_ns);
}

// Debts add up to this before anybody sleeps for them. Between two sleeps a thread must have time to give back a lock,
// and others to wake and take it: who sleeps for every page, holding the lock of a queue, keeps the consumer out.
[[nodiscard]] constexpr std::uint64_t debt_quantum(std::uint64_t capacity) {
  return min(capacity / 512, std::uint64_t{16 * kKiB});
}

// What a grant lets a thread take over the capacity before it waits again: the more, the oftener in a row it has waited
// in vain, since those who could release something may need more time to come by the lock that it holds; less for each
// of several that wait.
[[nodiscard]] constexpr std::uint64_t grant_bytes(std::uint64_t capacity, std::uint32_t in_vain,
                                                  std::uint64_t waiting) {
  constexpr std::uint64_t kFirst = 16 * kKiB, kLeast = 4 * kKiB;
  std::uint64_t const most = capacity / 512;
  return max(kLeast, min(kFirst << min(in_vain, 8u), most) / max(waiting, std::uint64_t{1}));
}

// What threads that take locks may take over the capacity, all together, before they wait for it where they take the
// next one. One that comes to half of it takes no locks, it seems; and one that puts off so many debts.
[[nodiscard]] constexpr std::uint64_t advance_bytes(std::uint64_t capacity) {
  return min(capacity / 128, std::uint64_t{4 * kMiB});
}
inline constexpr std::uint8_t kMostDebtsPutOff = 64;

// What a thread begins with is 0.
inline constexpr std::int8_t kLeastTrust = -3, kMostTrust = 12;

// How long a call hopes while nobody releases anything. Where going over is the worst that follows, the first waits are
// short: the waiter may hold a lock without which nobody can release anything. The further the process is over the
// longer, so that it finds by itself what the slowest of those who release needs, and growth by grants has a bounded
// rate.
// `trust`: kLeastTrust after a wait in vain, one more for each since then that was not. `alone`: nobody but it has
// released anything lately.
[[nodiscard]] constexpr std::uint64_t patience_ns(BackoffLimits const& limits, bool may_go_over, bool alone,
                                                  std::int32_t trust, std::uint64_t capacity, std::uint64_t used) {
  constexpr std::uint64_t kLeast = 4'000'000, kPerWhole = 1'000'000'000;
  if (!may_go_over) return limits.patience_ns;
  std::uint64_t const over = used > capacity && !alone ? used - capacity : 0;
  std::uint64_t const parts = min(over / max(capacity / 1024, std::uint64_t{1}), std::uint64_t{1024});
  return min(limits.patience_ns,
             kLeast * static_cast<std::uint64_t>(1 + trust - kLeastTrust) + kPerWhole / 1024 * parts);
}

// Bytes per second that are being released.
struct ReleaseRate {
  std::uint64_t now;   // the average
  std::uint64_t most;  // the highest average of late
};

// After a wait in vain: no longer than it takes, at the present rate, to release a few times what the next grant gives.
// Where much is released between the waits though nothing in them, the waiter holds a lock that those who release need,
// and each wait costs them. If they do not come by the lock for a while, their rate falls, and waits that grew with it
// would keep them out for good: so the rate that they have shown when they had the lock bounds them, too.
[[nodiscard]] constexpr std::uint64_t matching_ns(std::uint64_t grant, ReleaseRate rate, std::uint64_t capacity,
                                                  std::uint64_t used) {
  constexpr std::uint64_t kLeast = 1'000'000, kMostTimes = 32;
  std::uint64_t const over = used > capacity ? used - capacity : 0;
  std::uint64_t const times = 4 + min(over / max(capacity / 256, std::uint64_t{1}), std::uint64_t{256});
  auto const time_for = [grant](std::uint64_t factor, std::uint64_t per_s) {
    return factor * min(grant, std::uint64_t{kGiB}) * 1'000'000 / max(per_s / 1000, std::uint64_t{1});
  };
  return max(kLeast, min(time_for(times, rate.now), time_for(kMostTimes, rate.most)));
}

}  // namespace stealth
