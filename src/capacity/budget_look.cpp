// Compares what is charged with what is there: in a cgroup with what all of its processes use, else with what is
// resident. It costs a system call or more, so it is done when it is due.
#include "capacity/budget.hpp"

namespace stealth {

namespace {

constexpr auto kRelaxed = std::memory_order_relaxed;
// Above the soft point the kernel is asked again after so long, or after so much growth.
constexpr std::uint64_t kLookNs = 10'000'000;
constexpr std::uint64_t kLeastGrowthToLook = 64 * kKiB;
// Pages that were charged so long ago are either written by now, or not soon.
constexpr std::uint64_t kSettleNs = 100'000'000;

}  // namespace

void Budget::measure_by(Meter::Source source) noexcept {
  Hold hold(look_mutex_);
  if (meter_.source() == source) return;
  meter_.use(source);
  offset_.store(0, kRelaxed);
  look_ns_.store(0, kRelaxed);
}

std::uint64_t Budget::find_cgroup_limit() noexcept {
  Hold hold(look_mutex_);
  static_cast<void>(meter_.find_cgroup());
  return meter_.cgroup_limit();
}

bool Budget::is_over_now() noexcept {
  bool const something_missing = offset_.load(kRelaxed) < 0 || discount_.load(kRelaxed) != 0;
  if (something_missing && used() <= capacity()) look_if_due(os::monotonic_ns());  // it may have been written since
  return used() > capacity();
}

void Budget::look_if_due(std::uint64_t now) noexcept {
  if (now - look_ns_.load(kRelaxed) >= kLookNs) look(held(), now);
}

// Bytes that are charged and not there. Where going over is not what the user wants, what was charged just now is taken
// for there: its pages may be about to be written.
std::uint64_t Budget::missing_for_good(std::uint64_t held, std::uint64_t resident, std::uint64_t now) noexcept {
  if (now - newer_.at_ns >= kSettleNs) {
    older_ = newer_;
    newer_ = {held, now};
  }
  bool const strict = on_exhausted_.load(kRelaxed) != OnExhausted::grant;
  std::uint64_t const settled = strict ? min(held, older_.held) : held;
  return settled > resident ? settled - resident : 0;
}

void Budget::look(std::uint64_t held, std::uint64_t now) noexcept {
  if (meter_.source() == Meter::Source::none || !look_mutex_.try_lock()) return;
  Meter::Reading const reading = meter_.read();
  held = min(held, held_.load(kRelaxed));  // what was released meanwhile may be gone from the reading
  look_ns_.store(now, kRelaxed);
  if (!reading.valid) {
    look_at_.store(held + 16 * kMiB, kRelaxed);
  } else if (meter_.source() == Meter::Source::cgroup) {
    offset_.store(static_cast<std::int64_t>(reading.used) - static_cast<std::int64_t>(held), kRelaxed);
    bool const limited = reading.limit != os::kUnlimited;
    capacity_.store(limited ? thousandths(reading.limit, cgroup_share_.load(kRelaxed)) : CapacityLimits::kNoCapacity,
                    kRelaxed);
    // Others of the cgroup grow, too: there may be many of them.
    std::uint64_t const soft = soft_point();
    std::uint64_t const room = reading.used < soft ? soft - reading.used : 0;
    look_at_.store(held + (limited ? max(room / 64, kLeastGrowthToLook) : 16 * kMiB), kRelaxed);
  } else {
    std::uint64_t const missing = missing_for_good(held, reading.used, now);
    if (group_.joined()) {
      std::uint64_t const before = discount_.exchange(missing, kRelaxed);
      if (missing > before) group_.release(missing - before);
      if (missing < before) group_.charge(before - missing);
    } else {
      offset_.store(-static_cast<std::int64_t>(missing), kRelaxed);
    }
    std::uint64_t const room = soft_point() > reading.used ? soft_point() - reading.used : 0;
    look_at_.store(missing == 0 ? kNoLimit : held + max(room / 8, kLeastGrowthToLook), kRelaxed);
  }
  set_threshold();
  look_mutex_.unlock();
}

}  // namespace stealth
