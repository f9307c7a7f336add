// See meter.hpp.
#include "capacity/meter.hpp"

namespace stealth {

namespace {

constexpr std::uint64_t kFindEveryNs = 1'000'000'000;

}  // namespace

Meter::Reading Meter::read() noexcept {
  if (source() == Source::cgroup) {
    // The process may have been moved, and limits may have been set or lifted since.
    if (std::uint64_t const now_ns = os::monotonic_ns(); now_ns - found_ns_ >= kFindEveryNs) {
      found_ns_ = now_ns;
      static_cast<void>(cgroup_.find());
    }
    os::CgroupMemory::Reading now{};
    bool const valid = cgroup_.read(now);
    return {valid, now.used, now.limit};
  }
  os::Footprint const now = os::footprint();
  return {now.resident != 0, now.resident - (now.shared < now.resident ? now.shared : 0), 0};
}

}  // namespace stealth
