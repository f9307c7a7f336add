// See unwinder.hpp.
#include "unwinder.hpp"

#include <dlfcn.h>
#include <pthread.h>

#include <atomic>
#include <csignal>
#include <cstring>

#include "base/report.hpp"
#include "engine/backtrace.hpp"
#include "engine/guarding.hpp"
#include "engine/keeper.hpp"
#include "engine/slow.hpp"
#include "observe/profile.hpp"

// The linker's: where this library begins, and where its code ends.
extern "C" __attribute__((visibility("hidden"))) char const __ehdr_start[];
extern "C" __attribute__((visibility("hidden"))) char const _etext[];

namespace stealth {

namespace {

namespace profile = observe::profile;

enum class Library : std::uint8_t { unknown, loading, there, missing };

constinit std::atomic<Library> g_library{Library::unknown};
constinit std::atomic<std::uint64_t> g_wanted{0};
constinit std::atomic<bool> g_alive{false};  // the C library has come to life

void begin() noexcept {
  std::uint64_t const interval = g_wanted.load(std::memory_order_acquire);
  if (interval == 0) return;
  if (!profile::begin(interval)) report("STEALTH_PROFILE: no memory for the profile; it stays off");
}

// Beside this library.
bool find_path(char* into, std::size_t bytes) noexcept {
  Dl_info info = {};
  if (::dladdr(__ehdr_start, &info) == 0 || info.dli_fname == nullptr) return false;
  std::string_view const own(info.dli_fname);
  std::size_t const slash = own.rfind('/');
  Text path(into, bytes - 1);
  path << std::string_view(own.data(), slash == std::string_view::npos ? 0 : slash + 1) << "libstealth-unwind.so.0";
  into[path.view().size()] = '\0';
  return !path.cut();
}

// For whom it is loaded.
char const* name_of_user() noexcept { return active_guard() != nullptr ? "STEALTH_GUARD" : "STEALTH_PROFILE"; }

void load() noexcept {
  char path[1024] = "";
  void* const library = find_path(path, sizeof path) ? ::dlopen(path, RTLD_NOW | RTLD_LOCAL) : nullptr;
  void* const symbol = library != nullptr ? ::dlsym(library, "stealth_unwind") : nullptr;
  if (symbol == nullptr) {
    char const* const why = ::dlerror();
    report(name_of_user(), ": cannot load ", path, ": ", why != nullptr ? why : "no such name in it",
           active_guard() != nullptr ? "; no stacks in its reports" : "; no stacks, so no profile",
           "; install libunwind and libstealth-unwind.so.0 beside libstealth.so");
    g_library.store(Library::missing, std::memory_order_release);
    return;
  }
  Unwind* unwind = nullptr;
  std::memcpy(&unwind, &symbol, sizeof unwind);
  void* frames[4];
  unwind(frames, 4);  // its first call allocates and reads files
  void* const known_symbol = ::dlsym(library, "stealth_unwind_known");
  UnwindKnown* known = nullptr;
  std::memcpy(&known, &known_symbol, sizeof known);
  tell_stacks_by(unwind, {__ehdr_start, _etext}, known);
  g_library.store(Library::there, std::memory_order_release);
  begin();
}

void* load_in_thread(void*) noexcept {
  forbid_waits();
  pthread_setname_np(pthread_self(), "stealth-load");
  load();
  return nullptr;
}

// The program has given up what a thread and the loader need: its sandbox may answer with death.
bool is_locked_in() noexcept { return g_keeper.load(std::memory_order_relaxed) == Keeper::forbidden; }

// By a thread of the program, where it might be held up.
void make_thread() noexcept {
  Library expected = Library::unknown;
  if (is_locked_in() || !g_library.compare_exchange_strong(expected, Library::loading)) return;
  sigset_t all, before;
  sigfillset(&all);
  pthread_sigmask(SIG_SETMASK, &all, &before);
  pthread_t thread;
  int const error = pthread_create(&thread, nullptr, load_in_thread, nullptr);
  pthread_sigmask(SIG_SETMASK, &before, nullptr);
  if (error == 0) {
    pthread_detach(thread);
  } else {
    g_library.store(active_guard() != nullptr ? Library::missing : Library::unknown, std::memory_order_release);
    report(name_of_user(), ": no thread can be made to load the unwinder (error ", error, "), so there are no stacks");
  }
}

}  // namespace

void profile_each(std::uint64_t interval) noexcept {
  g_wanted.store(interval, std::memory_order_release);
  if (interval == 0) return profile::end();
  switch (g_library.load(std::memory_order_acquire)) {
    case Library::there:
      return begin();
    case Library::unknown:
      if (g_alive.load(std::memory_order_relaxed)) call_in(make_thread);
      break;
    case Library::loading:  // takes what is wanted by then
    case Library::missing:
      break;
  }
}

void load_unwinder_at_start() noexcept {
  g_alive.store(true, std::memory_order_relaxed);
  if (g_wanted.load(std::memory_order_relaxed) == 0 && serving_guard() == nullptr) return;
  g_library.store(Library::loading, std::memory_order_relaxed);
  load();
}

void load_unwinder_soon() noexcept {
  bool const is_wanted =
      g_library.load(std::memory_order_acquire) == Library::unknown && g_alive.load(std::memory_order_relaxed);
  if (is_wanted && !is_locked_in() && g_outside.may_wait()) call_in(make_thread);
}

void wait_for_unwinder() noexcept {
  constexpr int kTries = 200;
  for (int tries = 0; tries < kTries && g_library.load(std::memory_order_acquire) == Library::loading; ++tries) {
    std::uint32_t const never = 0;
    os::futex_wait(&never, 0, 1'000'000);
  }
}

// The thread that was to load it, or was about to, is not there.
void unwinder_fork_in_child() noexcept {
  Library const library = g_library.load(std::memory_order_relaxed);
  if (library != Library::loading && library != Library::unknown) return;
  g_library.store(Library::unknown, std::memory_order_relaxed);
  bool const can =
      g_alive.load(std::memory_order_relaxed) && g_outside.may_wait();  // the loader's lists may be half changed
  if (can && g_wanted.load(std::memory_order_relaxed) != 0) call_in(make_thread);
}

}  // namespace stealth
