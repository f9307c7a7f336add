// What the slow path's files share; nobody else includes it.
#pragma once

#include "capacity/wait.hpp"
#include "engine/faults.hpp"
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

// slow.cpp
[[nodiscard]] void* allocate_block(std::uint32_t c, std::size_t alignment) noexcept;

// large.cpp
// Larger than any reservation, and small enough for slot and page numbers to fit into 32 bits.
inline constexpr std::size_t kLargestSpan = std::size_t{1} << 43;
[[nodiscard]] void* allocate_span(std::size_t size, std::size_t alignment, bool zeroed) noexcept;
void free_span(void* p, std::size_t offset) noexcept;
// In place or by moving pages; the difference alone is charged. no_memory: copy instead.
[[nodiscard]] Outcome resize_span(void*& p, std::size_t size) noexcept;
[[nodiscard]] bool preallocate_spans() noexcept;

// heaps.cpp: takes in what was freed to each heap, and gives back to the arena what they keep for nobody: of ended
// threads' heaps all, of living ones' what does not touch their lists.
void collect() noexcept;
// heaps.cpp: what the keeper does with heaps at each of its ticks, a quarter of the purge delay. It has no heap, is no
// pthread, and so may call no pthread function; it takes heaps' locks only where they are free. True: there may be more
// to do at the next tick, though no whole run is free.
[[nodiscard]] bool age_heaps() noexcept;
// heaps.cpp: before fresh memory is taken: what other heaps have idle goes back to the arena, and some of that to the
// kernel.
void collect_idle() noexcept;

// admission.cpp: tries until it works or the policy ends it. First as long as the process need not grow; then, when
// idle memory has been collected, up to the capacity or the class's max, at the law's rate; there, with waits in
// between, until the policy speaks: over the capacity it may grant, a full class it leaves to the next allocator
// (at_max). `attempt` returns an Outcome; the caller holds no lock, and allocates for `heap`.
class Attempt {
 public:
  template <class F>
  [[nodiscard]] static Attempt by(F& f) noexcept {
    return {&f, [](void* context, Charge& charge) { return (*static_cast<F*>(context))(charge); }};
  }
  [[nodiscard]] Outcome operator()(Charge& charge) const noexcept { return call_(context_, charge); }

 private:
  using Call = Outcome (*)(void*, Charge&);
  Attempt(void* context, Call call) noexcept : context_(context), call_(call) {}
  void* context_;
  Call call_;
};
[[nodiscard]] Outcome admit_slowly(Heap& heap, Place place, Charge& charge, Outcome first, Attempt attempt) noexcept;

template <class F>
[[nodiscard]] inline Outcome until_admitted(Heap& heap, Place place, F attempt) noexcept {
  Charge charge{.account = &heap.account, .idle = g_arena.free_dirty_bytes()};
  Outcome const first = attempt(charge);
  if (first == Outcome::done) [[likely]]
    return first;
  return admit_slowly(heap, place, charge, first, Attempt::by(attempt));
}

// flush.cpp: calls all threads in, so that they give back what their lists hold; at most every 20 ms.
void request_flush() noexcept;
// Has one thread that comes to the slow path soon, and might be held up there, do this once. What was to be done before
// and nobody has come for is forgotten.
void call_in(void (*work)() noexcept) noexcept;
// What a thread does that is called in. `may_work`: not in free, which the C library calls with locks of its own held.
void answer_flush(bool may_work) noexcept;
extern constinit std::atomic<std::uint64_t> g_flush_until_ns;  // 0: the table is as it should be
[[nodiscard]] inline bool flush_requested() noexcept { return g_flush_until_ns.load(std::memory_order_relaxed) != 0; }
// Which lists malloc looks at, from now on: as wanted_count() (sampling.hpp) says.
void publish_counting() noexcept;
// The same, once `what`, which that depends on, has changed; for callers that must not wait. False: nothing has
// happened.
[[nodiscard]] bool try_publish_counting(std::atomic<bool>& what, bool now) noexcept;
void end_flush_in_child() noexcept;

}  // namespace stealth
