// See subscribers.hpp.
#include "pool/subscribers.hpp"

#include <pthread.h>

#include <atomic>
#include <cerrno>
#include <csignal>
#include <optional>
#include <utility>

#include "base/mutex.hpp"
#include "capacity/budget.hpp"
#include "engine/outside.hpp"

namespace stealth::subscribers {

namespace {

static_assert(STEALTH_PRESSURE_CAPACITY == static_cast<int>(PressureLevel::capacity) &&
              STEALTH_PRESSURE_EXHAUSTED == static_cast<int>(PressureLevel::exhausted));

constexpr std::uint64_t kEveryNs = 100'000'000;  // each level comes no oftener
constexpr std::uint64_t kForEverNs = 3'600'000'000'000;
// Enough for what programs do in callbacks; only what is touched costs memory.
constexpr std::size_t kStackBytes = 256 * kKiB;

enum class State : std::uint8_t {
  free,
  active,
  ended,  // by its own callback, which has not returned yet
};
struct Slot {
  stealth_pressure_callback* callback;
  void* context;
  std::uint64_t uses;  // how often the slot has been given away: makes handles differ
  int caller;          // the helper that is in the callback, by its thread's id; 0: none
  State state;
};
constexpr std::uint32_t kSlots = STEALTH_MOST_SUBSCRIPTIONS;

constinit Mutex g_mutex;  // guards what follows. No callback runs under it
constinit Slot g_slots[kSlots] = {};
constinit std::uint32_t g_active = 0;  // == slots in State::active
// Each helper has a number; one that finds another number here ends. So an old one, in a callback still, and a new one
// do not get into each other's way.
constinit std::uint64_t g_helper_number = 0;
constinit std::optional<pthread_t> g_helper;  // to be joined or detached; there is one as long as g_active != 0
constinit std::uint64_t g_last_ns[kPressureLevels] = {};  // when the last callbacks of each level returned
constinit std::atomic<std::uint32_t> g_returns{0};  // callbacks that have returned: who waits for one sleeps on it

class NoWaits {
 public:
  NoWaits() noexcept { forbid_waits(); }
  ~NoWaits() { allow_waits(); }
  NoWaits(NoWaits const&) = delete;
  NoWaits& operator=(NoWaits const&) = delete;
};

PressureSignal& signal() noexcept { return g_budget.pressure(); }

constexpr std::uint64_t handle_of(std::uint32_t slot, std::uint64_t uses) { return uses * kSlots + slot; }

Slot* find(std::uint64_t handle) noexcept {
  Slot& slot = g_slots[handle % kSlots];
  return slot.state == State::active && slot.uses == handle / kSlots ? &slot : nullptr;
}

// --- the helper ---

std::uint32_t const* returns_word() noexcept { return reinterpret_cast<std::uint32_t const*>(&g_returns); }

void call_all(PressureLevel level, std::uint64_t helper) noexcept {
  for (Slot& slot : g_slots) {
    stealth_pressure_callback* callback = nullptr;
    void* context = nullptr;
    {
      Hold hold(g_mutex);
      if (g_helper_number != helper) return;
      // An old helper may be in it still.
      if (slot.state != State::active || slot.caller != 0) continue;
      slot.caller = os::thread_id();
      callback = slot.callback;
      context = slot.context;
    }
    callback(static_cast<stealth_pressure>(level), context);
    {
      Hold hold(g_mutex);
      slot.caller = 0;
      if (slot.state == State::ended) slot.state = State::free;
    }
    g_returns.fetch_add(1, std::memory_order_seq_cst);
    os::futex_wake(returns_word(), INT32_MAX);
  }
}

// The levels that may be told now; and, if there are others, when the next of them may.
PressureLevels due(std::uint64_t now, std::uint64_t& next_ns) noexcept {
  PressureLevels levels = 0;
  next_ns = kForEverNs;
  for (std::uint32_t i = 0; i < kPressureLevels; ++i) {
    std::uint64_t const at = g_last_ns[i] == 0 ? 0 : g_last_ns[i] + kEveryNs;
    if (at <= now) {
      levels |= 1u << i;
    } else {
      next_ns = min(next_ns, at - now);
    }
  }
  return levels;
}

void* run_helper(void* argument) {
  auto const helper = reinterpret_cast<std::uintptr_t>(argument);
  pthread_setname_np(pthread_self(), "stealth");
  NoWaits const none;
  while (true) {
    std::uint32_t const events = signal().events();
    PressureLevels raised = 0;
    std::uint64_t pause = kForEverNs;
    {
      Hold hold(g_mutex);
      if (g_helper_number != helper) return nullptr;
      std::uint64_t next_ns = 0;
      raised = signal().take(due(os::monotonic_ns(), next_ns));
      if (signal().raised() != 0) pause = next_ns;
    }
    if (raised == 0) {
      signal().wait_beyond(events, pause);
      continue;
    }
    for (std::uint32_t i = 0; i < kPressureLevels; ++i) {
      if ((raised >> i & 1) == 0) continue;
      call_all(static_cast<PressureLevel>(i), helper);
      Hold hold(g_mutex);
      g_last_ns[i] = os::monotonic_ns();
    }
  }
}

// The caller holds the mutex. False: the system gives no thread.
bool start_helper() noexcept {
  pthread_attr_t attributes;
  if (pthread_attr_init(&attributes) != 0) return false;
  pthread_attr_setstacksize(&attributes, kStackBytes);
  sigset_t all, before;
  sigfillset(&all);
  pthread_sigmask(SIG_SETMASK, &all, &before);  // which the new thread inherits
  auto* const number = reinterpret_cast<void*>(static_cast<std::uintptr_t>(++g_helper_number));
  pthread_t thread{};
  int error = pthread_create(&thread, &attributes, run_helper, number);
  // A program with much static TLS has no room on a small stack.
  if (error == EINVAL) error = pthread_create(&thread, nullptr, run_helper, number);
  pthread_sigmask(SIG_SETMASK, &before, nullptr);
  pthread_attr_destroy(&attributes);
  if (error == 0) g_helper = thread;
  return error == 0;
}

// The caller holds the mutex. Tells the helper to end; the thread is to be joined once the mutex is free, unless it is
// in a callback (perhaps this very one): then it ends by itself.
std::optional<pthread_t> dismiss_helper() noexcept {
  ++g_helper_number;
  signal().listen(false);
  signal().nudge();
  std::optional<pthread_t> const thread = std::exchange(g_helper, std::nullopt);
  for (Slot const& slot : g_slots) {
    if (slot.caller == 0) continue;
    pthread_detach(*thread);
    return std::nullopt;
  }
  return thread;
}

// Who is cancelled in here would leave the thread behind.
void join(pthread_t thread) noexcept {
  int before = 0;
  pthread_setcancelstate(PTHREAD_CANCEL_DISABLE, &before);
  pthread_join(thread, nullptr);
  pthread_setcancelstate(before, nullptr);
}

}  // namespace

stealth_error add(stealth_pressure_callback* callback, void* context, std::uint64_t& handle) noexcept {
  NoWaits const none;  // making a thread allocates
  Hold hold(g_mutex);
  for (std::uint32_t i = 0; i < kSlots; ++i) {
    Slot& slot = g_slots[i];
    if (slot.state != State::free) continue;
    if (!g_helper.has_value()) {
      if (!start_helper()) return STEALTH_NO_THREAD;
      signal().listen(true);
    }
    signal().calm();  // the newcomer wants to know, too, where the soft point is passed already
    slot = {callback, context, slot.uses + 1, 0, State::active};
    ++g_active;
    handle = handle_of(i, slot.uses);
    return STEALTH_OK;
  }
  return STEALTH_TOO_MANY;
}

stealth_error end(std::uint64_t handle) noexcept {
  std::optional<pthread_t> dismissed;
  {
    Hold hold(g_mutex);
    Slot* const slot = find(handle);
    if (slot == nullptr) return STEALTH_INVALID_HANDLE;
    slot->state = slot->caller == 0 ? State::free : State::ended;
    --g_active;
    bool const from_within = slot->caller == os::thread_id();
    while (!from_within && slot->uses == handle / kSlots && slot->state == State::ended) {
      std::uint32_t const returns = g_returns.load(std::memory_order_seq_cst);
      g_mutex.unlock();
      os::futex_wait(returns_word(), returns, kForEverNs);
      g_mutex.lock();
    }
    if (g_active == 0 && g_helper.has_value()) dismissed = dismiss_helper();
  }
  if (dismissed.has_value()) join(*dismissed);
  return STEALTH_OK;
}

void after_fork_in_child() noexcept {
  g_mutex.reset();
  for (Slot& slot : g_slots) {
    ++slot.uses;  // a fork in the middle of add() may have left it as it was
    slot.caller = 0;
    slot.state = State::free;
  }
  g_active = 0;
  ++g_helper_number;
  g_helper.reset();
  signal().listen(false);
}

}  // namespace stealth::subscribers
