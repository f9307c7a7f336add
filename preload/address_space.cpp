// A program that lowers its own address-space limit must not be choked by what we have reserved and not used: the
// unused tail of the reservation goes back first.
#undef _FILE_OFFSET_BITS  // else the headers rename setrlimit to setrlimit64, and we define both
#include <sys/resource.h>

#include <cerrno>

#include "arena/arena.hpp"
#include "engine/outside.hpp"
#include "os/os.hpp"
#include "start.hpp"

#define STEALTH_EXPORT extern "C" __attribute__((visibility("default")))

namespace {

void make_room(rlim_t limit) {
  if (limit == RLIM_INFINITY || stealth::g_arena.reserved_bytes() == 0) return;
  std::uint64_t const mapped = stealth::os::footprint().mapped;
  std::uint64_t const ours = stealth::g_arena.mapped_bytes();
  std::uint64_t const others = mapped > ours ? mapped - ours : 0;
  std::uint64_t const left = limit > others ? limit - others : 0;
  stealth::limit_reservation(static_cast<std::size_t>(left / 2));
}

int change(pid_t process, int resource, void const* limit, void* old) {
  // A vfork child has our memory, but its limits are its own.
  bool const ours =
      stealth::os::process_id() == stealth::owning_process() && (process == 0 || process == stealth::owning_process());
  if (resource == RLIMIT_AS && limit != nullptr && ours) make_room(static_cast<rlimit const*>(limit)->rlim_cur);
  int const result = stealth::os::change_limit(process, resource, limit, old);
  if (result == 0) return 0;
  errno = -result;
  return -1;
}

}  // namespace

static_assert(sizeof(rlim_t) == 8, "rlimit and rlimit64 are the same");

STEALTH_EXPORT int setrlimit(__rlimit_resource_t resource, struct rlimit const* limit) noexcept {
  return change(0, static_cast<int>(resource), limit, nullptr);
}
STEALTH_EXPORT int setrlimit64(__rlimit_resource_t resource, struct rlimit64 const* limit) noexcept {
  return change(0, static_cast<int>(resource), limit, nullptr);
}
STEALTH_EXPORT int prlimit(pid_t process, __rlimit_resource resource, struct rlimit const* limit,
                           struct rlimit* old) noexcept {
  return change(process, static_cast<int>(resource), limit, old);
}
STEALTH_EXPORT int prlimit64(pid_t process, __rlimit_resource resource, struct rlimit64 const* limit,
                             struct rlimit64* old) noexcept {
  return change(process, static_cast<int>(resource), limit, old);
}
