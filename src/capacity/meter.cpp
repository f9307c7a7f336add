// See meter.hpp.
#include "capacity/meter.hpp"

namespace stealth {

Meter::Reading Meter::read() noexcept {
  if (source() == Source::cgroup) {
    os::CgroupMemory::Reading now{};
    bool const valid = cgroup_.read(now) || (cgroup_.find() && cgroup_.read(now));  // it may have been moved
    return {valid && now.limit != os::kUnlimited, now.used, now.limit};
  }
  os::Footprint const now = os::footprint();
  return {now.resident != 0, now.resident - (now.shared < now.resident ? now.shared : 0), 0};
}

}  // namespace stealth
