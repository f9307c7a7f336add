// The places where nobody may be held up at the capacity: in fork with its handlers, while libraries are loaded and
// unloaded (the loader's lock is held), and once the program ends. Each name here does what libc's does, and notes that
// it is under way. The next definitions are looked up at start, since some are called where dlsym must not be.
#include "no_waits.hpp"

#include <pty.h>
#include <sys/types.h>
#include <unistd.h>

#include <cstring>

#include "capacity/budget.hpp"
#include "engine/outside.hpp"
#include "interposed.hpp"
#include "start.hpp"

#ifdef __clang__
#define STEALTH_WITH_JUMPS
#define STEALTH_BY_JUMP [[clang::musttail]]
#else
#define STEALTH_WITH_JUMPS __attribute__((optimize("O2")))
#define STEALTH_BY_JUMP
#endif

namespace {

using Main = int (*)(int, char**, char**);
using Void = void (*)();

using stealth::Interposed;

constinit Interposed<pid_t()> g_fork{"fork"};
constinit Interposed<pid_t(int*, char*, termios const*, winsize const*)> g_forkpty{"forkpty"};
constinit Interposed<int(int, int)> g_daemon{"daemon"};
constinit Interposed<void(int)> g_exit{"exit"};
constinit Interposed<void(int)> g_quick_exit{"quick_exit"};
constinit Interposed<void*(char const*, int)> g_dlopen{"dlopen"};
constinit Interposed<void*(Lmid_t, char const*, int)> g_dlmopen{"dlmopen"};
constinit Interposed<int(void*)> g_dlclose{"dlclose"};
constinit Interposed<int(Main, int, char**, Void, Void, Void, void*)> g_start_main{"__libc_start_main"};
constinit Main g_main = nullptr;

class NoWaits {
 public:
  NoWaits() noexcept { stealth::forbid_waits(); }
  ~NoWaits() { stealth::allow_waits(); }
  NoWaits(NoWaits const&) = delete;
  NoWaits& operator=(NoWaits const&) = delete;
};

void no_waits_any_more() noexcept {
  if (stealth::os::process_id() == stealth::owning_process()) stealth::g_budget.stop_waiting();
}

int main_then_no_waits(int argc, char** argv, char** environment) {
  int const status = g_main(argc, argv, environment);
  no_waits_any_more();  // exit handlers and destructors follow
  return status;
}

// The loader asks who calls dlopen: for the caller's run path where the name has no slash, for its place where the name
// has $ORIGIN in it. Those calls are passed on as they are, by a jump.
bool caller_matters(char const* name) noexcept {
  return name == nullptr || std::strchr(name, '/') == nullptr || std::strchr(name, '$') != nullptr;
}

}  // namespace

void stealth::find_waitless_places() noexcept {
  static_cast<void>(g_fork.get());
  static_cast<void>(g_exit.get());
  static_cast<void>(g_dlopen.get());
  static_cast<void>(g_dlclose.get());
}

STEALTH_EXPORT pid_t fork() noexcept {
  NoWaits const none;
  return g_fork.get()();
}

// These two fork by a name that only libc itself can call.
STEALTH_EXPORT pid_t forkpty(int* terminal, char* name, termios const* modes, winsize const* size) noexcept {
  NoWaits const none;
  return g_forkpty.get()(terminal, name, modes, size);
}

STEALTH_EXPORT int daemon(int stay, int keep) noexcept {
  NoWaits const none;
  return g_daemon.get()(stay, keep);
}

STEALTH_EXPORT __attribute__((noreturn)) void exit(int status) noexcept {
  no_waits_any_more();
  g_exit.get()(status);
  __builtin_unreachable();
}

STEALTH_EXPORT __attribute__((noreturn)) void quick_exit(int status) noexcept {
  no_waits_any_more();
  g_quick_exit.get()(status);
  __builtin_unreachable();
}

STEALTH_EXPORT STEALTH_WITH_JUMPS void* dlopen(char const* name, int flags) noexcept {
  if (caller_matters(name)) STEALTH_BY_JUMP return g_dlopen.get()(name, flags);
  NoWaits const none;
  return g_dlopen.get()(name, flags);
}

STEALTH_EXPORT STEALTH_WITH_JUMPS void* dlmopen(Lmid_t space, char const* name, int flags) noexcept {
  if (caller_matters(name)) STEALTH_BY_JUMP return g_dlmopen.get()(space, name, flags);
  NoWaits const none;
  return g_dlmopen.get()(space, name, flags);
}

STEALTH_EXPORT int dlclose(void* handle) noexcept {
  NoWaits const none;
  return g_dlclose.get()(handle);
}

STEALTH_EXPORT int __libc_start_main(Main program, int argc, char** argv, Void init, Void fini, Void loader_fini,
                                     void* stack_end) {
  g_main = program;
  return g_start_main.get()(main_then_no_waits, argc, argv, init, fini, loader_fini, stack_end);
}
