// See keeper.hpp.
#include "engine/keeper.hpp"

#include "engine/slow.hpp"
#include "os/os.hpp"
#include "os/process_mark.hpp"
#include "os/task.hpp"

namespace stealth {

constinit std::atomic<Keeper> g_keeper{Keeper::forbidden};
constinit Errand const* g_errand = nullptr;
constinit std::atomic<std::uint64_t> g_errand_from{kNeverWanted};

namespace {

constexpr std::uint32_t kQuietTicks = 12;           // then it ends
constexpr std::uint32_t kRetryMs = 10'000;          // when the system gave no thread, or takes no memory
constexpr std::uint64_t kBetweenStepsNs = 100'000;  // for those who wait for the arena

// Held while one is made, and while the program does what none must see. First in the order of locks. Polled, not slept
// on: who takes it may be in a signal handler that interrupted its holder, and then goes on without.
constinit OwnerLock g_making;
constinit bool g_locked_for_fork = false;
constinit os::Task g_task;
constinit int g_process = 0;  // that may have one: not a vfork child, nor one that was forked without handlers
constinit std::atomic<std::uint32_t> g_not_before_ms{0};
constinit std::atomic<std::uint32_t> g_calls{0};  // what it rests on: changed to wake it

constinit std::atomic<std::uint16_t> g_newest{0};  // the number of the one that may be there
constinit bool g_has_own_files = false;

std::uint32_t const* calls_word() noexcept { return reinterpret_cast<std::uint32_t const*>(&g_calls); }

// By the keeper. One that was sent away and came back from what it did too late finds another in its place.
bool is_forbidden() noexcept {
  return g_keeper.load(std::memory_order_seq_cst) == Keeper::forbidden ||
         g_newest.load(std::memory_order_relaxed) != t_thread.keeper;
}
bool may_stay() noexcept { return !is_forbidden(); }
bool may_part() noexcept { return g_keeper.load(std::memory_order_seq_cst) == Keeper::parting && !is_forbidden(); }

void rest(std::uint64_t ns, bool (*may)() noexcept = may_stay) noexcept {
  if (g_errand != nullptr && g_errand->rest(ns, may)) return;
  std::uint32_t const calls = g_calls.load(std::memory_order_seq_cst);
  if (may()) os::futex_wait(calls_word(), calls, ns);
}

void wake() noexcept {
  g_calls.fetch_add(1, std::memory_order_seq_cst);
  os::futex_wake(calls_word(), 1);
  if (g_errand != nullptr) g_errand->wake();
}

void not_before(std::uint32_t ms) noexcept { g_not_before_ms.store(os::coarse_ms() + ms, std::memory_order_relaxed); }

// One round over everything; false: there was nothing to do, and nothing is expected.
bool look_after_memory() noexcept {
  bool busy = age_heaps();
  if (!g_arena.worth_purging()) return busy;
  Arena::Step step{.more = true};
  std::size_t bytes = 0;
  bool refused = false;
  for (bool first = true; step.more && !is_forbidden(); first = false) {
    if (!first) rest(kBetweenStepsNs);
    step = g_arena.purge_step(first);
    bytes += step.bytes;
    refused |= step.refused;
  }
  if (refused && bytes == 0) {  // it would be so again at every tick
    not_before(kRetryMs);
    return busy;
  }
  return true;
}

std::uint64_t tick_ns(std::uint32_t delay_ms) noexcept {
  return std::uint64_t{min(max(delay_ms / 4, 10u), 1000u)} * 1'000'000;
}

enum class Parted : std::uint8_t { ends, rested, called_back };

// Ready to end, or, with an errand, to rest until that is due.
Parted part(std::uint64_t rest_ns, bool has_errand) noexcept {
  Keeper expected = Keeper::present;
  if (!g_keeper.compare_exchange_strong(expected, Keeper::parting)) return Parted::ends;
  rest(rest_ns, may_part);
  expected = Keeper::parting;
  if (g_keeper.compare_exchange_strong(expected, has_errand ? Keeper::present : Keeper::absent))
    return has_errand ? Parted::rested : Parted::ends;
  return expected == Keeper::forbidden ? Parted::ends : Parted::called_back;
}

// The program may have become somebody else past the C library: what this thread may do is not the program's any more.
// Nobody tries again at once, since its threads may be different users for good.
bool has_fallen_behind() noexcept {
  if (!g_has_own_files || os::acts_as_first_thread()) return false;
  Keeper expected = Keeper::present;
  g_keeper.compare_exchange_strong(expected, Keeper::absent);
  not_before(kRetryMs);
  return true;
}

void keep() noexcept {
  t_thread.heap = &g_no_heap;  // whatever calls malloc from here, by mistake, gets the emergency reserve
  t_thread.busy = true;
  t_thread.keeper = g_newest.load(std::memory_order_relaxed);
  os::Task::name_this("stealth");
  g_has_own_files = g_errand != nullptr && os::Task::take_own_files();
  std::uint32_t quiet = 0;
  std::uint64_t last_look_ns = os::monotonic_ns();
  while (!is_forbidden()) {
    std::uint64_t const errand_ns = g_errand != nullptr ? g_errand->run(g_has_own_files) : 0;
    bool const has_errand = errand_ns != 0;
    if (has_errand && has_fallen_behind()) return;
    std::uint32_t const delay = g_arena.purge_delay_ms();
    std::uint64_t const tick = tick_ns(delay);
    if (quiet >= (delay == 0 ? 1 : kQuietTicks)) {
      Parted const parted = part(has_errand ? errand_ns : tick, has_errand);
      if (parted == Parted::ends) return;
      if (parted == Parted::rested && g_has_own_files && os::is_last_thread())
        return;  // nobody it could keep for; the process ends with it
      if (parted == Parted::called_back) quiet = 0;
    } else {
      rest(has_errand ? min(tick, errand_ns) : tick);
    }
    if (is_forbidden()) return;
    // Who comes for the errand alone does not make time pass quicker for memory.
    std::uint64_t const now = os::monotonic_ns();
    if (now - last_look_ns < tick / 4 * 3) continue;
    last_look_ns = now;
    quiet = look_after_memory() ? 0 : quiet + 1;
  }
}

bool too_early() noexcept {
  return static_cast<std::int32_t>(os::coarse_ms() - g_not_before_ms.load(std::memory_order_relaxed)) < 0;
}

}  // namespace

void permit_keeper(int process) noexcept {
  g_process = process;
  not_before(0);
  g_keeper.store(Keeper::absent, std::memory_order_relaxed);
}

void call_keeper() noexcept {
  if (too_early()) return;
  Keeper found = Keeper::parting;
  if (g_keeper.compare_exchange_strong(found, Keeper::present)) {
    if (g_errand_from.load(std::memory_order_relaxed) != kNeverWanted) wake();  // it may rest for long
    return;
  }
  if (found != Keeper::absent) return;
  if (os::process_id() != g_process) return not_before(kRetryMs);
  if (!g_making.try_lock()) return;
  // An old one may have a few instructions to go.
  if (!g_task.wait_for_end(1'000'000)) {
    not_before(kRetryMs / 10);
  } else if (g_keeper.compare_exchange_strong(found, Keeper::present)) {
    g_newest.fetch_add(1, std::memory_order_relaxed);
    if (!g_task.start(keep, &t_thread, sizeof t_thread)) {
      g_keeper.store(Keeper::absent, std::memory_order_relaxed);
      not_before(kRetryMs);
    }
  }
  g_making.unlock();
}

bool send_keeper_away(std::uint64_t patience_ns) noexcept {
  if (os::process_id() != g_process || !g_making.try_lock_for(patience_ns)) return false;
  if (g_keeper.exchange(Keeper::forbidden, std::memory_order_seq_cst) == Keeper::forbidden) {
    g_making.unlock();
    return false;
  }
  wake();
  g_newest.fetch_add(1, std::memory_order_seq_cst);  // should it take longer, it is not the present one when it is back
  g_task.wait_for_end(patience_ns);
  return true;
}

void let_keeper_back() noexcept {
  g_keeper.store(Keeper::absent, std::memory_order_relaxed);
  g_making.unlock();
}

void forbid_keeper(std::uint64_t patience_ns) noexcept {
  if (send_keeper_away(patience_ns)) g_making.unlock();
}

void keeper_fork_prepare() noexcept { g_locked_for_fork = g_making.try_lock_for(kKeeperPatienceNs); }

void keeper_fork_in_parent() noexcept {
  if (g_locked_for_fork) g_making.unlock();
}

void keeper_fork_in_child() noexcept {
  if (g_keeper.load(std::memory_order_relaxed) != Keeper::forbidden)
    g_keeper.store(Keeper::absent, std::memory_order_relaxed);
  g_task.forget();
  g_process = g_process == 0 ? 0 : os::process_id();
  not_before(0);
  g_making.reset();
}

}  // namespace stealth
