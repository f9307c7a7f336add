// What the slow path's files share; nobody else includes it.
#pragma once

#include "engine/hot.hpp"
#include "engine/outside.hpp"

namespace stealth {

// Marks that this thread is in the slow path, and takes its lists from the hot path's sight meanwhile: a signal handler
// finds nothing that it could pop or push, comes to the slow path, and there sees `busy`, which every entry looks at
// first.
class [[nodiscard]] Busy {
 public:
  Busy() noexcept {
    t_thread.busy = true;
    t_thread.heap = &g_no_heap;
    std::atomic_signal_fence(std::memory_order_seq_cst);
  }
  ~Busy() {
    std::atomic_signal_fence(std::memory_order_seq_cst);
    if (t_thread.own != nullptr) t_thread.heap = t_thread.own;
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
// In place or by moving pages; the difference alone is charged. no_memory: copy instead.
[[nodiscard]] Outcome resize_span(void*& p, std::size_t size) noexcept;
[[nodiscard]] bool preallocate_spans() noexcept;

// faults.cpp: names what is wrong with a pointer, and ends the process.
[[noreturn]] void report_bad_free(void* p) noexcept;
[[noreturn]] void report_double_free(void* p, std::size_t block) noexcept;

// heaps.cpp: before fresh memory is taken: what other heaps have idle goes back to the arena, and some of that to the
// kernel.
void collect_idle() noexcept;

// Tries until it works or the policy ends it. First as long as the process need not grow; then, when idle memory has
// been collected, up to the capacity or the class's max; there, with waits in between, until the policy speaks: over
// the capacity it may grant, a full class it leaves to the next allocator (at_max). `attempt(Charge)` returns an
// Outcome; the caller holds no lock, and allocates for `heap`.
template <class Attempt>
[[nodiscard]] inline Outcome until_admitted(Heap& heap, Attempt attempt) noexcept {
  Outcome result = attempt(Charge::calm);
  if (result == Outcome::done) [[likely]]
    return result;
  if (result != Outcome::at_max) {
    collect_idle();
    result = attempt(Charge::within);
    if (result == Outcome::done) [[likely]]
      return result;
    Hold hold(heap.lock);
    heap.release_unused(true);
  } else if (!g_budget.limits().delays) {
    return result;
  }
  Budget::Wait wait(g_budget);
  for (Charge how = Charge::within;;) {
    if (result == Outcome::over_capacity) {  // memory that is merely kept is not use
      if (wait.begun()) collect_idle();
      if (g_arena.free_dirty_bytes() != 0) g_arena.purge(0);
    }
    result = attempt(how);
    if (result == Outcome::done || result == Outcome::no_memory) return result;
    Budget::Verdict const verdict = wait.step(result == Outcome::at_max ? "a class's max" : "capacity");
    if (verdict == Budget::Verdict::refused) return Outcome::refused;
    if (verdict == Budget::Verdict::granted) {
      if (result == Outcome::at_max) return result;
      how = Charge::over;
    }
  }
}

}  // namespace stealth
