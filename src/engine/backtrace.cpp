// See backtrace.hpp.
#include "engine/backtrace.hpp"

#include <atomic>
#include <cstring>

#include "engine/slow.hpp"
#include "os/os.hpp"

namespace stealth {

namespace {

constinit std::atomic<Unwind*> g_unwind{nullptr};
constinit std::atomic<UnwindKnown*> g_unwind_known{nullptr};
constinit std::atomic<void const*> g_own_begin{nullptr}, g_own_end{nullptr};

// Not where the loader's lock may be held by this thread, or its lists be half changed.
bool may_unwind() noexcept { return t_thread.no_waits == 0 && g_outside.may_wait(); }

// The unwinder has locks of its own, and asks the loader, who has some, too; none of them is given free in a forked
// child. So a fork waits for those who are unwinding, and they for it. Where it came in between nevertheless (out of a
// signal handler, or with the loader's lock held), the child has no stacks.
constinit Mutex g_fork;
constinit std::atomic<std::uint32_t> g_unwinding{0};
constinit std::atomic<bool> g_forking{false}, g_unwinder_lost{false};
constexpr std::uint64_t kPatienceNs = 100'000'000;

void begin_unwinding() noexcept {
  g_unwinding.fetch_add(1, std::memory_order_seq_cst);
  while (g_forking.load(std::memory_order_seq_cst)) {
    g_unwinding.fetch_sub(1, std::memory_order_seq_cst);
    { Hold const until_it_is_over(g_fork); }
    g_unwinding.fetch_add(1, std::memory_order_seq_cst);
  }
}

void end_unwinding() noexcept {
  if (g_unwinding.load(std::memory_order_relaxed) != 0)  // it may have been forgotten in a child
    g_unwinding.fetch_sub(1, std::memory_order_seq_cst);
}

void wait_for_unwinding() noexcept {
  std::uint64_t const until = os::monotonic_ns() + kPatienceNs;
  std::uint32_t const never = 0;
  while (g_unwinding.load(std::memory_order_seq_cst) != 0 && os::monotonic_ns() < until)
    os::futex_wait(&never, 0, 20'000);
}

}  // namespace

bool is_own_code(void const* frame) noexcept {
  return frame >= g_own_begin.load(std::memory_order_relaxed) && frame < g_own_end.load(std::memory_order_relaxed);
}

bool stacks_are_told() noexcept { return g_unwind.load(std::memory_order_relaxed) != nullptr; }

void tell_stacks_by(Unwind* unwind, Own own, UnwindKnown* known) noexcept {
  g_own_begin.store(own.begin, std::memory_order_relaxed);
  g_own_end.store(own.end, std::memory_order_relaxed);
  g_unwind_known.store(known, std::memory_order_release);
  g_unwind.store(unwind, std::memory_order_release);
}

std::uint32_t backtrace(void** frames, std::uint32_t most) noexcept {
  Unwind* const how = g_unwind.load(std::memory_order_acquire);
  if (how == nullptr || g_unwinder_lost.load(std::memory_order_relaxed) || !may_unwind()) return 0;
  begin_unwinding();
  int const found = how(frames, static_cast<int>(most));
  end_unwinding();
  std::uint32_t const depth = found < 0 ? 0 : static_cast<std::uint32_t>(found);
  std::uint32_t own = 0;
  while (own < depth && is_own_code(frames[own])) ++own;
  std::memmove(frames, frames + own, (depth - own) * sizeof(void*));
  return depth - own;
}

int backtrace_known(void const* place, void** frames, void const** places, std::uint32_t most) noexcept {
  UnwindKnown* const how = g_unwind_known.load(std::memory_order_acquire);
  return how == nullptr ? 0 : how(place, frames, places, static_cast<int>(most));
}

void backtrace_fork_prepare() noexcept {
  g_fork.lock();
  g_forking.store(true, std::memory_order_seq_cst);
  wait_for_unwinding();
}
void backtrace_fork_in_parent() noexcept {
  g_forking.store(false, std::memory_order_seq_cst);
  g_fork.unlock();
}
void backtrace_fork_in_child() noexcept {
  if (g_unwinding.exchange(0, std::memory_order_relaxed) != 0) g_unwinder_lost.store(true, std::memory_order_relaxed);
  g_forking.store(false, std::memory_order_relaxed);
  g_fork.reset();
}

}  // namespace stealth
