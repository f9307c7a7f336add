// libstealthpool's way to the control table: where libstealth.so serves the process (preloaded, or linked), its table,
// for a program that has libstealthpool.a in it, too; else the own one. Looked up when the program is loaded: later, in
// the middle of a stall, the loader's lock may be held by a thread that waits.
#include <dlfcn.h>
#include <pthread.h>
#include <sys/auxv.h>
#include <unistd.h>

#include <atomic>
#include <cerrno>
#include <cstddef>
#include <cstring>

#include "base/report.hpp"
#include "config/load.hpp"
#include "engine/outside.hpp"
#include "pool/control.hpp"

namespace stealth {

namespace {

constinit std::atomic<Control const*> g_control{nullptr};

Control const* interposers() noexcept {
  void* const symbol = ::dlsym(RTLD_DEFAULT, "stealth_interposer_control");
  if (symbol == nullptr) return nullptr;
  void const* (*get)() = nullptr;
  static_assert(sizeof get == sizeof symbol);
  std::memcpy(&get, &symbol, sizeof get);
  auto const* const table = static_cast<Control const*>(get());
  return table->size >= offsetof(Control, charge) ? table : nullptr;  // what the first version had
}

void before_fork() {
  control_before_fork();
  fork_prepare();
}

void after_fork_in_parent() {
  fork_in_parent();
  control_after_fork_in_parent();
}

void after_fork_in_child() {
  fork_in_child();
  control_after_fork_in_child();
}

// Alone it takes no settings from the environment but how much it says: what a program links is the program's to set.
void read_verbosity() noexcept {
  static constinit config::Config settings;
  config::Origin const origin = {environ, program_invocation_short_name, ::getauxval(AT_SECURE) != 0};
  if (config::load(settings, origin, {})) g_verbosity = static_cast<Verbosity>(settings.verbose);
}

// A plug-in that has libstealthpool.a in it stays when it is closed: what the C library knows of a thread that has used
// a pool (its robust mutexes) lies in this library's data. Looked up, because a static program that names dlopen() is
// warned by the linker; it has none, and needs none.
void stay_loaded() noexcept {
  Dl_info own, program;
  auto const* const entry = reinterpret_cast<void const*>(static_cast<std::uintptr_t>(::getauxval(AT_ENTRY)));
  if (::dladdr(&g_control, &own) == 0 || own.dli_fname == nullptr) return;
  if (::dladdr(entry, &program) != 0 && own.dli_fbase == program.dli_fbase) return;
  void* (*open)(char const*, int) = nullptr;
  void* const symbol = ::dlsym(RTLD_DEFAULT, "dlopen");
  static_assert(sizeof open == sizeof symbol);
  std::memcpy(&open, &symbol, sizeof open);
  if (open != nullptr) static_cast<void>(open(own.dli_fname, RTLD_LAZY | RTLD_NOLOAD | RTLD_NODELETE));
}

// Also where the interposer's table is in force: pools of a static library are this one's all the same.
__attribute__((constructor)) void look_at_load() {
  stay_loaded();
  if (&control() == &g_own_control) read_verbosity();
  pthread_atfork(before_fork, after_fork_in_parent, after_fork_in_child);
}

}  // namespace

Control const& control() noexcept {
  Control const* known = g_control.load(std::memory_order_acquire);
  if (known == nullptr) {
    Control const* const found = interposers();
    known = found != nullptr ? found : &g_own_control;
    g_control.store(known, std::memory_order_release);
  }
  return *known;
}

}  // namespace stealth
