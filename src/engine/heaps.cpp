// All heaps: making them, taking over those of ended threads, and what is done to all of them at once: trim, age, fork.
//
// Order of locks: the keeper's, registry, then heaps (in the registry's order), then the arena. Whoever touches another
// thread's heap holds the registry's lock.
#include "engine/backtrace.hpp"
#include "engine/keeper.hpp"
#include "engine/registry.hpp"
#include "engine/sampling.hpp"
#include "engine/slow.hpp"
#include "os/os.hpp"

namespace stealth {

constinit Heap g_no_heap = {.id = ~std::uint32_t{0} << kIdShift};
constinit thread_local Thread t_thread
    __attribute__((tls_model("initial-exec"))) = {&g_no_heap, nullptr, false, 0, 0, false, 0};
constinit Heap g_shared_heap = {.id = std::uint32_t{1} << kIdShift};

constinit Mutex g_registry;
constinit Heap* g_heaps = nullptr;

namespace {

constinit Heap* g_last_heap = nullptr;
constinit Heap* g_cursor = nullptr;  // where the next search for an ended thread's heap goes on
constinit std::uint32_t g_last_number = 1;
constinit Heap g_first_heap = {};  // the first thread's: spares small programs a mapping
constinit bool g_first_heap_used = false;

// Heaps looked at before a new one is made: a thread that starts among ten thousand others should not ask them all.
constexpr int kSearch = 64;
constexpr std::size_t kHeapChunk = 64 * kKiB;

Heap* fresh_heap() {
  if (!g_first_heap_used) {
    g_first_heap_used = true;
    return &g_first_heap;
  }
  static constinit char* chunk = nullptr;
  static constinit std::size_t left = 0;
  constexpr std::size_t kSize = align_up(sizeof(Heap), 64);
  if (left < kSize) {
    chunk = static_cast<char*>(os::map(kHeapChunk));
    left = chunk == nullptr ? 0 : kHeapChunk;
    if (chunk == nullptr) return nullptr;
  }
  auto* const heap = reinterpret_cast<Heap*>(chunk);  // all zero is a valid heap without blocks
  chunk += kSize;
  left -= kSize;
  return heap;
}

void set_first_limits(Heap& heap) {
  for (std::uint32_t c = 1; c < g_classes.count; ++c) {
    if (g_classes.classes[c].shared) continue;
    heap.bins[c].limit = heap.bins[c].room = static_cast<std::int32_t>(g_classes.classes[c].first_limit);
  }
}

bool take_over(Heap* heap) {
  return heap != t_thread.own && !heap->lost && !heap->lock.is_held() && heap->mark.claim_if_ended();
}

// Goes round, so that every heap comes to be drained: what is freed to one that lies idle is of no use to anybody.
Heap* ended_heap() {
  Heap* const first = g_cursor;
  for (int looked_at = 0; looked_at < kSearch && g_heaps != nullptr; ++looked_at) {
    if (g_cursor == nullptr) g_cursor = g_heaps;
    Heap* const heap = g_cursor;
    g_cursor = heap->next_heap;
    if (take_over(heap)) return heap;
    if (g_cursor == first) break;
  }
  return nullptr;
}

Heap* attach() {
  Hold hold(g_registry);
  if (Heap* const heap = ended_heap(); heap != nullptr) {
    g_budget.reset(heap->account);
    heap->ended_ticks = 0;
    return heap;
  }
  if (g_last_number >= (1u << (32 - kIdShift)) - 2) return nullptr;
  Heap* const heap = fresh_heap();
  if (heap == nullptr) return nullptr;
  heap->id = ++g_last_number << kIdShift;
  set_first_limits(*heap);
  heap->mark.claim_new();
  (g_heaps == nullptr ? g_heaps : g_last_heap->next_heap) = heap;
  g_last_heap = heap;
  return heap;
}

}  // namespace

bool lock_foreign(Heap& heap) noexcept {
  constexpr std::uint64_t kPatienceNs = 20'000'000;
  for (int tries = 0; tries < 50; ++tries) {
    if (heap.lock.try_lock_for(kPatienceNs)) return true;
    if (!heap.mark.claim_if_ended()) continue;
    heap.lost = true;
    break;
  }
  return false;
}

void collect() noexcept {
  Hold hold(g_registry);
  for_each_heap([](Heap& heap) {
    bool const ended = &heap != &g_shared_heap && take_over(&heap);
    if (!lock_foreign(heap)) return;
    heap.release_unused(ended);
    heap.lock.unlock();
    if (ended) heap.mark.release();
  });
}

namespace {

// The next one; null: there is none, or not now.
Heap* heap_after(Heap* heap) {
  if (!g_registry.try_lock()) return nullptr;
  do {
    heap = heap == nullptr ? g_heaps : heap->next_heap;
  } while (heap != nullptr && heap->lost);
  g_registry.unlock();
  return heap;
}

// Pages in slabs to which nothing has come back lately. A few slabs at a time, for the heap's thread may be waiting.
// True: there is more to do, or will be.
bool age_slabs(Heap& heap, int& holds, bool& is_newly_idle) {
  constexpr std::uint32_t kTicks = 3, kSlabs = 16, kIdleTicks = 2;
  constexpr std::uint64_t kBetweenNs = 50'000;
  for (std::uint32_t done = kSlabs; done == kSlabs && holds > 0; --holds) {
    if (!heap.lock.try_lock()) return true;
    done = heap.hollow_out(kTicks, kSlabs);
    bool const is_idle = ticks_have_passed(heap.used_tick, kIdleTicks);
    is_newly_idle |= is_idle && !heap.is_idle;
    heap.is_idle = is_idle;
    heap.aged_bytes = heap.chained_bytes;
    heap.lock.unlock();
    std::uint32_t const never = 0;
    if (done == kSlabs) os::futex_wait(&never, 0, kBetweenNs);
  }
  return holds <= 0;
}

// Only what a thread has left behind: the next one takes it over, lists and all, if it comes before the purge delay is
// over. Holding the registry keeps it from that meanwhile, so the mark need not be claimed.
bool age_ended_heaps() noexcept {
  constexpr std::uint8_t kTicks = 5;  // the first may come at once
  constexpr int kAtOnce = 4;
  if (!g_registry.try_lock()) return false;
  int released = 0;
  for (Heap* heap = g_heaps; heap != nullptr && released < kAtOnce; heap = heap->next_heap) {
    if (heap->lost || heap->ended_ticks >= kTicks || !heap->mark.has_ended()) continue;
    if (heap->ended_ticks + 1 == kTicks) {
      if (!heap->lock.try_lock()) continue;
      heap->release_unused(true);
      heap->lock.unlock();
      ++released;
    }
    ++heap->ended_ticks;
  }
  g_registry.unlock();
  return released == kAtOnce;
}

}  // namespace

// A thread that has not come to the slow path for a while keeps what its lists hold, and with it whole slabs; if it
// calls malloc now and then, it is asked to give them back.
bool age_heaps() noexcept {
  g_tick.fetch_add(1, std::memory_order_relaxed);
  bool busy = age_ended_heaps();
  int holds = 64;
  bool is_any_newly_idle = false;
  for (Heap* heap = heap_after(nullptr); heap != nullptr; heap = heap_after(heap))
    busy |= age_slabs(*heap, holds, is_any_newly_idle);
  if (is_any_newly_idle) request_flush();
  return busy || is_any_newly_idle;
}

Heap* own_heap() noexcept {
  if (t_thread.own == nullptr) [[unlikely]]
    t_thread.own = attach();
  return t_thread.own;
}

void collect_idle() noexcept {
  collect();
  g_arena.purge_down_to(max(g_budget.held() / 6, std::uint64_t{2 * kMiB}));
  g_budget.raise_calm_limit();
}

bool trim() noexcept {
  if (t_thread.busy) return false;
  Busy const busy;
  std::uint64_t const before = g_budget.held();
  if (Heap* const own = own_heap(); own != nullptr) {
    Hold hold(own->lock);
    own->release_unused(true);
  }
  collect();
  collect();  // what one heap posted to another in the first round
  g_arena.purge(0);
  return g_budget.held() < before;
}

bool preallocate() noexcept {
  Busy const busy;
  bool complete = true;
  for (std::uint32_t c = 1; c < g_classes.count; ++c) {
    FreeBlock* chain = nullptr;
    Hold hold(g_shared_heap.lock);
    Charge charge{.level = Level::within};
    for (std::uint64_t i = 0; i < g_classes.classes[c].prealloc; ++i) {
      void* block = nullptr;
      if (g_shared_heap.take_one(c, charge, block) != Outcome::done) {
        complete = false;
        break;
      }
      for (std::size_t at = 0; at < g_classes.classes[c].block; at += kPage) static_cast<char volatile*>(block)[at] = 0;
      auto* const free_block = static_cast<FreeBlock*>(block);
      free_block->next = chain;
      chain = free_block;
    }
    while (chain != nullptr) {
      FreeBlock* const next = chain->next;
      g_shared_heap.push(slab_at(g_arena.offset_of(chain) >> kSlotShift, g_classes.classes[c]), chain);
      chain = next;
    }
  }
  return preallocate_spans() && complete;
}

void limit_reservation(std::size_t most) noexcept {
  if (t_thread.busy) return;
  Busy const busy;
  g_arena.limit_reservation(most);
}

void set_purge_delay(std::uint32_t ms) noexcept {
  if (t_thread.busy) return;
  Busy const busy;
  g_arena.set_purge_delay(ms);
  g_arena.purge(ms);
}

void fork_prepare() noexcept {
  if (t_thread.busy) {  // from a handler that interrupted the slow path: locking would never end
    ++t_thread.unprotected_forks;
    return;
  }
  t_thread.busy = true;  // until the fork is over, handlers must keep off
  t_thread.heap = &g_no_heap;
  keeper_fork_prepare();
  g_registry.lock();
  for_each_heap([](Heap& heap) { heap.locked_for_fork = lock_foreign(heap); });
  for (std::uint32_t i = 0; i < g_classes.rule_count; ++i) g_classes.rules[i].mutex.lock();
  g_arena.mutex().lock();
  backtrace_fork_prepare();
}

void fork_in_parent() noexcept {
  if (t_thread.unprotected_forks != 0) {
    --t_thread.unprotected_forks;
    return;
  }
  backtrace_fork_in_parent();
  g_arena.mutex().unlock();
  for (std::uint32_t i = 0; i < g_classes.rule_count; ++i) g_classes.rules[i].mutex.unlock();
  for_each_heap([](Heap& heap) {
    if (heap.locked_for_fork) heap.lock.unlock();
  });
  g_registry.unlock();
  keeper_fork_in_parent();
  if (t_thread.own != nullptr) t_thread.heap = t_thread.own;
  t_thread.busy = false;
}

void fork_in_child() noexcept {
  backtrace_fork_in_child();
  if (t_thread.unprotected_forks != 0) {
    --t_thread.unprotected_forks;
    return;
  }
  g_budget.after_fork_in_child();
  windows_fork_in_child();
  end_flush_in_child();
  Heap* const own = t_thread.own;
  for_each_heap([own](Heap& heap) {
    if (!heap.locked_for_fork) return;
    heap.lock.reset();
    if (&heap == &g_shared_heap) return;
    if (&heap == own) return heap.mark.claim_new();
    // The other threads may have been in the middle of a push or a pop, and the kernel copied their pages one by one:
    // what their lists and batches say cannot be trusted. Those blocks stay lost to the child; the slabs' own chains
    // are whole.
    for (Bin& bin : heap.bins) bin = {nullptr, bin.limit, bin.limit};
    heap.samples_due = 0;  // after blocks that are counted and lost
    for (RemoteBatch& batch : heap.batches) batch = {};
    for (Outgoing& out : heap.outgoing) out = {};
    heap.outgoing_bytes = 0;
    g_budget.forget_waiter(heap.account);
    heap.mark.clear_in_child();
  });
  for (std::uint32_t i = 0; i < g_classes.rule_count; ++i) g_classes.rules[i].mutex.reset();
  g_arena.mutex().reset();
  g_registry.reset();
  keeper_fork_in_child();
  if (own != nullptr) t_thread.heap = own;
  t_thread.busy = false;
}

bool engine_is_valid() noexcept {
  bool valid = g_arena.is_valid();
  for_each_heap([&valid](Heap& heap) { valid = valid && heap.is_valid(); });
  return valid;
}

}  // namespace stealth
