// What the slow path's files share; nobody else includes it.
#pragma once

#include "engine/hot.hpp"
#include "engine/outside.hpp"

namespace stealth {

// Marks that this thread is in the slow path. A signal handler that finds the mark set must keep off its thread's heap, so every
// entry looks at t_thread.busy first.
class [[nodiscard]] Busy {
 public:
  Busy() noexcept {
    t_thread.busy = true;
    std::atomic_signal_fence(std::memory_order_seq_cst);
  }
  ~Busy() {
    std::atomic_signal_fence(std::memory_order_seq_cst);
    t_thread.busy = false;
  }
  Busy(Busy const&) = delete;
  Busy& operator=(Busy const&) = delete;
};

// slow.cpp
extern constinit std::atomic<bool> g_started;
[[nodiscard]] inline bool started() noexcept { return g_started.load(std::memory_order_acquire) || g_outside.start(); }
[[nodiscard]] void* out_of_memory() noexcept;  // null, and errno
[[nodiscard]] void* pass_on(std::size_t size, std::size_t alignment, bool zeroed) noexcept;
[[nodiscard]] void* emergency(std::size_t size, std::size_t alignment) noexcept;  // zeroed

// heaps.cpp: the calling thread's heap, taken over or made at its first call; null if no memory can be had for one.
[[nodiscard]] Heap* own_heap() noexcept;

// large.cpp
[[nodiscard]] void* allocate_span(std::size_t size, std::size_t alignment, bool zeroed) noexcept;
void free_span(void* p, std::size_t offset) noexcept;
// In place or by moving pages; the difference alone is charged. Null: nothing has changed, copy instead.
[[nodiscard]] void* resize_span(void* p, std::size_t size) noexcept;
[[nodiscard]] bool preallocate_spans() noexcept;

// faults.cpp: names what is wrong with a pointer, and ends the process.
[[noreturn]] void report_bad_free(void* p) noexcept;
[[noreturn]] void report_double_free(void* p, std::size_t block) noexcept;

// heaps.cpp: before fresh memory is taken: what other heaps have idle goes back to the arena, and some of that to the kernel.
void collect_idle() noexcept;

// Tries until it works or the policy ends it. First as long as the process need not grow; then, when idle memory has been collected,
// up to the capacity; there, with waits in between, until the policy speaks. `attempt(Charge)` returns a Heap::Refill; the caller
// holds no lock.
template <class Attempt>
[[nodiscard]] inline Heap::Refill until_admitted(Heap& heap, Attempt attempt) noexcept {
  Heap::Refill result = attempt(Charge::calm);
  if (result == Heap::Refill::done) [[likely]] return result;
  collect_idle();
  result = attempt(Charge::within);
  if (result == Heap::Refill::done) [[likely]] return result;

  {
    Hold hold(heap.lock);
    heap.release_unused(true);
  }
  g_arena.purge(0);
  Budget::Wait wait(g_budget);
  Charge how = Charge::within;
  while ((result = attempt(how)) == Heap::Refill::over_capacity) {
    Budget::Verdict const verdict = wait.step("capacity");
    if (verdict == Budget::Verdict::refused) return result;
    if (verdict == Budget::Verdict::granted) how = Charge::over;
  }
  return result;
}

}  // namespace stealth
