// A program that lowers its own address-space limit must not be choked by what we have reserved and not used: the
// unused tail of the reservation goes back first.
#undef _FILE_OFFSET_BITS  // else the headers rename setrlimit to setrlimit64, and we define both
#include <sys/resource.h>
#include <sys/syscall.h>

#include <cerrno>

#include "arena/arena.hpp"
#include "os/os.hpp"

#define STEALTH_EXPORT extern "C" __attribute__((visibility("default")))

namespace {

void make_room(rlim_t limit) {
  if (limit == RLIM_INFINITY || stealth::g_arena.reserved_bytes() == 0) return;
  std::uint64_t const mapped = stealth::os::footprint().mapped;
  std::uint64_t const ours = stealth::g_arena.mapped_bytes();
  std::uint64_t const others = mapped > ours ? mapped - ours : 0;
  std::uint64_t const left = limit > others ? limit - others : 0;
  stealth::g_arena.limit_reservation(static_cast<std::size_t>(left / 2));
}

int change(pid_t process, int resource, void const* limit, void* old) {
  if (resource == RLIMIT_AS && limit != nullptr && (process == 0 || process == stealth::os::process_id())) {
    make_room(static_cast<rlimit const*>(limit)->rlim_cur);
  }
  auto const address = [](void const* p) { return static_cast<long>(reinterpret_cast<std::uintptr_t>(p)); };
  long const result = stealth::os::sys(SYS_prlimit64, process, resource, address(limit), address(old));
  if (result >= 0) return 0;
  errno = static_cast<int>(-result);
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
