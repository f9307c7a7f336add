// See start.hpp. Everything here runs within the first malloc, perhaps before any constructor of libc or the program:
// no allocation, no stdio, no lock that libc holds.
#include "start.hpp"

#include <link.h>
#include <pthread.h>
#include <sys/auxv.h>
#include <unistd.h>
#if __has_include(<sys/single_threaded.h>)
#include <sys/single_threaded.h>
#endif
#include <cerrno>

#include <atomic>
#include <cstring>

#include "base/report.hpp"
#include "bootstrap.hpp"
#include "config/load.hpp"
#include "engine/guarding.hpp"
#include "engine/outside.hpp"
#include "engine/slab.hpp"
#include "guarding.hpp"
#include "locks.hpp"
#include "next.hpp"
#include "no_waits.hpp"
#include "observe/profile.hpp"
#include "os/os.hpp"
#include "pool/control.hpp"
#include "pool/live.hpp"
#include "statistics.hpp"
#include "steering.hpp"
#include "unwinder.hpp"

// glibc's, which no header declares.
extern "C" {
void _IO_list_lock() __attribute__((weak));
void _IO_list_unlock() __attribute__((weak));
void _IO_list_resetlock() __attribute__((weak));
}

namespace stealth {

namespace {

constexpr std::size_t kReservation = std::size_t{1} << 40;

enum class State : std::uint8_t { not_started, starting, started };
constinit std::atomic<State> g_state{State::not_started};
constinit config::Config g_settings;
constinit char g_program_name[64] = {};
constinit int g_owning_process = 0;

// --- what the engine asks of the outside ---

// The next allocator's, if anybody's.
void* foreign(void* p) noexcept {
  if (Guard const* const guard = serving_guard(); guard != nullptr) guard->foreign(p);
  return p;
}

void outside_deallocate(void* p) noexcept {
  if (p == nullptr) return;
  bootstrap::owns(p) ? bootstrap::deallocate(p) : next::deallocate(foreign(p));
}

std::size_t outside_usable_size(void* p) noexcept {
  return bootstrap::owns(p) ? bootstrap::usable_size(p) : next::usable_size(foreign(p));
}

void* outside_reallocate(void* p, std::size_t size) noexcept {
  if (!bootstrap::owns(p)) return next::reallocate(foreign(p), size);
  std::size_t const old_size = bootstrap::usable_size(p);
  if (size <= old_size) return p;
  void* const fresh = allocate_aligned(size, kMinAlignment);
  if (fresh == nullptr) return nullptr;
  std::memcpy(fresh, p, old_size);
  bootstrap::deallocate(p);
  return fresh;
}

// Not in a vfork child, which runs on its parent's memory while the parent waits for it, nor while the loader changes
// its list of libraries.
bool may_wait() noexcept { return _r_debug.r_state == r_debug::RT_CONSISTENT && os::process_id() == g_owning_process; }

// --- settings -> engine ---

void say(void*, std::string_view line) noexcept { report(line); }

HugePages huge_pages_of(config::HugePages wish) {
  switch (wish) {
    case config::HugePages::never:
      return HugePages::never;
    case config::HugePages::automatic:
      return HugePages::automatic;
    case config::HugePages::always:
      return HugePages::always;
  }
  return HugePages::never;
}

bool configure_classes() {
  config::Classes const& wanted = g_settings.classes;
  if (wanted.kind == config::Classes::Kind::all) return add_all_classes();
  for (std::size_t i = 0; i < wanted.count; ++i) {
    config::ClassRule const& rule = wanted.rules[i];
    if (!add_classes({rule.low, rule.high, rule.ladder, rule.max, rule.prealloc})) {
      report("STEALTH_CLASSES: more than ", kClasses - 1, " block sizes up to 32k or ", kSpanRules,
             " larger ones; those from ", std::uint64_t{rule.low}, " on go to the next allocator");
      break;
    }
  }
  return true;
}

// Under an address-space limit at most half of what is left: the program needs some, too.
std::size_t reservation_bytes() {
  std::uint64_t const left = os::address_space_left();
  return left == os::kUnlimited ? kReservation : static_cast<std::size_t>(min<std::uint64_t>(kReservation, left / 2));
}

// Between the handlers no signal comes in: a signal's handler that forks as well would find locks that its own thread
// has, and is in the middle of taking. Written with these held.
constinit std::uint64_t g_signals_before_fork = os::kNotBlocked;
constinit bool g_holds_streams = false;

// glibc's fork takes the lock of its list of streams after our locks. Whoever flushes all streams has that one, and
// waits for the lock of one whose owner may be in malloc, where he waits for ours. So it comes first; it is recursive.
// While there is one thread nobody can be in the way.
bool lock_streams() {
#if __has_include(<sys/single_threaded.h>)
  if (_IO_list_lock == nullptr || _IO_list_resetlock == nullptr || __libc_single_threaded != 0) return false;
  _IO_list_lock();
  return true;
#else
  return false;
#endif
}

void before_fork() {
  std::uint64_t const before = os::block_signals();
  bool const streams = lock_streams();
  control_before_fork();
  g_signals_before_fork = before;
  g_holds_streams = streams;
  fork_prepare();
  observe::profile::fork_prepare();
}

void after_fork_in_parent() {
  observe::profile::fork_in_parent();
  fork_in_parent();
  std::uint64_t const before = g_signals_before_fork;
  bool const streams = g_holds_streams;
  control_after_fork_in_parent();
  if (streams) _IO_list_unlock();
  os::unblock_signals(before);
}

void after_fork_in_child() {
  if (g_holds_streams) _IO_list_resetlock();
  observe::profile::fork_in_child();
  fork_in_child();
  control_after_fork_in_child();
  errands_fork_in_child();
  reset_statistics_buffer();
  g_owning_process = os::process_id();
  unwinder_fork_in_child();
  os::unblock_signals(g_signals_before_fork);
}

void start_engine() {
  g_owning_process = os::process_id();
  config::Origin const origin = {environ, program_invocation_short_name, ::getauxval(AT_SECURE) != 0};
  Text(g_program_name, sizeof g_program_name - 1) << program_invocation_short_name;
  bool const served = config::load(g_settings, origin, {say, nullptr});
  g_verbosity = static_cast<Verbosity>(g_settings.verbose);
  if (!served) g_settings.stats = {};
  if (!served || origin.secure) g_settings.control = config::Control::off;
  live::begin(g_settings);
  live::profile_by(profile_each);
  pthread_atfork(before_fork, after_fork_in_parent, after_fork_in_child);
  if (!served || g_settings.classes.kind == config::Classes::Kind::none) return;
  g_budget.report_holders_by(say_who_holds);
  live::put_in_force();
  g_arena.set_dumpable(g_settings.dumpable);
  g_arena.set_huge_pages(huge_pages_of(g_settings.huge_pages));
  if (os::page_size() > kSlot) {
    report("the system's pages of ", Bytes{os::page_size()},
           " are larger than what libstealth purges; everything goes to the "
           "next allocator");
    return;
  }
  if (!g_arena.reserve(reservation_bytes())) {
    report("no address space can be reserved (RLIMIT_AS?); everything goes to the next allocator");
    return;
  }
  configure_classes();
  begin_guarding();
  publish_classes();
  permit_keeper(g_owning_process);
  if (g_settings.profile.interval != 0) {
    profile_each(g_settings.profile.interval);
    if (g_settings.guard == config::Guard::full)
      report("STEALTH_PROFILE: nothing is sampled under STEALTH_GUARD=full; the profile stays empty");
  }
  if (!preallocate())
    report("STEALTH_CLASSES: not all blocks could be preallocated: the capacity or the memory is too small");
  remark("capacity ", g_budget.limits().capacity == CapacityLimits::kNoCapacity ? "none, " : "",
         Bytes{g_budget.limits().capacity == CapacityLimits::kNoCapacity ? 0 : g_budget.limits().capacity},
         "; reserved ", Bytes{g_arena.reserved_bytes()}, "; ", g_classes.count - 1, " size classes");
}

// Before the program's own constructors, if no allocation has come first.
__attribute__((constructor(101))) void start_at_load() {
  start();
  begin_errands();
  next::resolve();
  find_waitless_places();
  find_locks();
  watch_faults();
  load_unwinder_at_start();
}

}  // namespace

bool start() noexcept {
  State state = g_state.load(std::memory_order_acquire);
  if (state == State::started) return true;
  // Without an environment libc has not come to life yet, and settings would be missed.
  if (state == State::starting || environ == nullptr || !g_state.compare_exchange_strong(state, State::starting))
    return false;
  int const saved = errno;
  start_engine();
  errno = saved;
  declare_started();
  g_state.store(State::started, std::memory_order_release);
  return true;
}

config::Config const& settings() noexcept { return g_settings; }

int owning_process() noexcept { return g_owning_process; }

char const* program_name() noexcept { return g_program_name; }

constinit Outside const g_outside = {
    start, next::allocate, outside_deallocate, outside_reallocate, outside_usable_size, bootstrap::allocate, may_wait};

}  // namespace stealth
