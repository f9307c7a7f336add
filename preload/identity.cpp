// A program that changes who it is or what it may. For the kernel these are a thread's, and the C library makes them
// the process's by asking each of its threads; the keeper is none of those. It would keep what the program gave up, and
// unshare and setns refuse where there is a second thread. So it is sent away for the time of these calls, and for good
// where the program locks itself in: its sandbox may answer the making of a thread with death. A thread that loads the
// unwinder is waited for.
//
// The next definitions are looked up at the first call, not at start: every program would pay some 25 us, few call any.
#include <grp.h>
#include <sched.h>
#include <sys/prctl.h>
#include <unistd.h>

#include <cstdarg>

#include "engine/outside.hpp"
#include "interposed.hpp"
#include "unwinder.hpp"

namespace {

using stealth::Interposed;

constinit Interposed<int(uid_t)> g_setuid{"setuid"};
constinit Interposed<int(gid_t)> g_setgid{"setgid"};
constinit Interposed<int(uid_t)> g_seteuid{"seteuid"};
constinit Interposed<int(gid_t)> g_setegid{"setegid"};
constinit Interposed<int(uid_t, uid_t)> g_setreuid{"setreuid"};
constinit Interposed<int(gid_t, gid_t)> g_setregid{"setregid"};
constinit Interposed<int(uid_t, uid_t, uid_t)> g_setresuid{"setresuid"};
constinit Interposed<int(gid_t, gid_t, gid_t)> g_setresgid{"setresgid"};
constinit Interposed<int(size_t, gid_t const*)> g_setgroups{"setgroups"};
constinit Interposed<int(char const*, gid_t)> g_initgroups{"initgroups"};
constinit Interposed<int(void*, void const*)> g_capset{"capset"};
constinit Interposed<int(int)> g_unshare{"unshare"};
constinit Interposed<int(int, int)> g_setns{"setns"};
constinit Interposed<int(int, unsigned long, unsigned long, unsigned long, unsigned long)> g_prctl{"prctl"};

template <class... A>
int without_keeper(Interposed<int(A...)>& next, A... arguments) noexcept {
  stealth::wait_for_unwinder();
  bool const away = stealth::send_keeper_away();
  int const result = next.get()(arguments...);
  if (away) stealth::let_keeper_back();
  return result;
}

}  // namespace

STEALTH_EXPORT int setuid(uid_t id) noexcept { return without_keeper(g_setuid, id); }
STEALTH_EXPORT int setgid(gid_t id) noexcept { return without_keeper(g_setgid, id); }
STEALTH_EXPORT int seteuid(uid_t id) noexcept { return without_keeper(g_seteuid, id); }
STEALTH_EXPORT int setegid(gid_t id) noexcept { return without_keeper(g_setegid, id); }
STEALTH_EXPORT int setreuid(uid_t real, uid_t effective) noexcept {
  return without_keeper(g_setreuid, real, effective);
}
STEALTH_EXPORT int setregid(gid_t real, gid_t effective) noexcept {
  return without_keeper(g_setregid, real, effective);
}
STEALTH_EXPORT int setresuid(uid_t real, uid_t effective, uid_t saved) noexcept {
  return without_keeper(g_setresuid, real, effective, saved);
}
STEALTH_EXPORT int setresgid(gid_t real, gid_t effective, gid_t saved) noexcept {
  return without_keeper(g_setresgid, real, effective, saved);
}
STEALTH_EXPORT int setgroups(size_t count, gid_t const* groups) noexcept {
  return without_keeper(g_setgroups, count, groups);
}
STEALTH_EXPORT int initgroups(char const* user, gid_t group) { return without_keeper(g_initgroups, user, group); }
// Declared by libcap's headers only.
STEALTH_EXPORT int capset(void* header, void const* data) noexcept { return without_keeper(g_capset, header, data); }
STEALTH_EXPORT int unshare(int what) noexcept { return without_keeper(g_unshare, what); }
STEALTH_EXPORT int setns(int file, int kind) noexcept { return without_keeper(g_setns, file, kind); }

STEALTH_EXPORT int prctl(int option, ...) noexcept {
  va_list list;
  va_start(list, option);
  unsigned long values[4];
  for (unsigned long& value : values) value = va_arg(list, unsigned long);  // as the C library does
  va_end(list);
  switch (option) {
    case PR_SET_NO_NEW_PRIVS:  // what comes before a sandbox
    case PR_SET_SECCOMP:
      stealth::forbid_keeper();
      break;
    case PR_CAPBSET_DROP:
    case PR_SET_SECUREBITS:
    case PR_CAP_AMBIENT:
      return without_keeper(g_prctl, option, values[0], values[1], values[2], values[3]);
    default:
      break;
  }
  return g_prctl.get()(option, values[0], values[1], values[2], values[3]);
}
