// See guarding.hpp.
#include "guarding.hpp"

#include <cerrno>
#include <csignal>
#include <cstring>
#include <new>
#include <utility>

#include "engine/guarding.hpp"
#include "guard/guard.hpp"
#include "interposed.hpp"
#include "os/os.hpp"
#include "start.hpp"
#include "unwinder.hpp"

namespace stealth {

namespace {

using Action = struct sigaction;

constinit Interposed<int(int, Action const*, Action*)> g_sigaction = {"sigaction"};
constinit Interposed<sighandler_t(int, sighandler_t)> g_signal = {"signal"};

// What the program wants done on SIGSEGV: one of two, so that a fault finds one whole while the other is written.
constinit Action g_wanted[2] = {};  // SIG_DFL
constinit std::atomic<unsigned> g_current{0};
constinit std::atomic<bool> g_watching{false};

constexpr int kOnce = static_cast<int>(SA_RESETHAND);  // the sign bit

void on_fault(int signal, siginfo_t* info, void* context) noexcept;

// Ours with the flags and mask that the program chose for its own.
int set_ours(Action const& wanted) noexcept {
  Action ours = wanted;
  bool const has_own = wanted.sa_handler != SIG_DFL && wanted.sa_handler != SIG_IGN;
  ours.sa_sigaction = on_fault;
  ours.sa_flags = has_own ? (wanted.sa_flags | SA_SIGINFO) & ~kOnce : SA_SIGINFO | SA_ONSTACK;
  return g_sigaction.get()(SIGSEGV, &ours, nullptr);
}

int change_wanted(Action const* wanted, Action* before) noexcept {
  unsigned const current = g_current.load(std::memory_order_acquire);
  Action const known = g_wanted[current % 2];
  if (wanted != nullptr) {
    if (int const error = set_ours(*wanted); error != 0) return error;
    g_wanted[(current + 1) % 2] = *wanted;
    g_current.store(current + 1, std::memory_order_release);
  }
  if (before != nullptr) *before = known;
  return 0;
}

void on_fault(int signal, siginfo_t* info, void* context) noexcept {
  int const saved = errno;
  bool const sent = info->si_code <= 0;  // by somebody, not by an access
  if (!sent) guard::explain_access(info->si_addr);
  Action const wanted = g_wanted[g_current.load(std::memory_order_acquire) % 2];
  bool const has_own = wanted.sa_handler != SIG_DFL && wanted.sa_handler != SIG_IGN;
  if (!has_own) {
    if (sent && wanted.sa_handler == SIG_IGN) return;
    // The access is made again, and ends the process where it happened.
    Action plain = {};
    g_sigaction.get()(SIGSEGV, &plain, nullptr);
    if (sent) ::raise(SIGSEGV);
  } else {
    if ((wanted.sa_flags & kOnce) != 0) {
      Action const plain = {};
      change_wanted(&plain, nullptr);
    }
    errno = saved;
    if ((wanted.sa_flags & SA_SIGINFO) != 0) return wanted.sa_sigaction(signal, info, context);
    return wanted.sa_handler(signal);
  }
  errno = saved;
}

}  // namespace

void begin_guarding() noexcept {
  if (settings().guard == config::Guard::full) guard::begin_full(os::random_bits());
  if (settings().guard == config::Guard::sample) guard::begin_sample(os::random_bits(), load_unwinder_soon);
}

void watch_faults() noexcept {
  // Both may be called first in a signal's handler, where they cannot be looked up.
  static_cast<void>(g_signal.get());
  auto* const real = g_sigaction.get();
  if (active_guard() == nullptr || real(SIGSEGV, nullptr, &g_wanted[0]) != 0) return;
  g_watching.store(set_ours(g_wanted[0]) == 0, std::memory_order_release);
  if (serving_guard() == nullptr) return;
  // A program that brings some of these operators need not bring all of them: then what comes by one of its own may
  // leave by one of ours.
  void* (*const object)(std::size_t) = ::operator new;
  void* (*const array)(std::size_t) = ::operator new[];
  for (auto const& [name, own] : {std::pair("_Znwm", object), std::pair("_Znam", array)}) {
    void* const found = ::dlsym(RTLD_DEFAULT, name);
    if (std::memcmp(&found, &own, sizeof found) != 0) guard::mix_doors();
  }
}

void check_at_the_end() noexcept { guard::check_everything(); }

}  // namespace stealth

STEALTH_EXPORT int sigaction(int signal, struct sigaction const* wanted, struct sigaction* before) noexcept {
  if (signal == SIGSEGV && stealth::g_watching.load(std::memory_order_acquire))
    return stealth::change_wanted(wanted, before);
  return stealth::g_sigaction.get()(signal, wanted, before);
}

STEALTH_EXPORT sighandler_t signal(int signal, sighandler_t handler) noexcept {
  if (signal != SIGSEGV || !stealth::g_watching.load(std::memory_order_acquire))
    return stealth::g_signal.get()(signal, handler);
  struct sigaction wanted = {}, before = {};
  wanted.sa_handler = handler;
  wanted.sa_flags = SA_RESTART;
  return stealth::change_wanted(&wanted, &before) == 0 ? before.sa_handler : SIG_ERR;
}
