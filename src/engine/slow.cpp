// Where malloc and free go when the hot path has no answer: which of the reasons it is, and what is done about it.
#include "engine/slow.hpp"

#include <cerrno>
#include <utility>

#include "base/check.hpp"
#include "engine/guarding.hpp"
#include "engine/keeper.hpp"
#include "engine/sampling.hpp"

namespace stealth {

namespace {

// Blocks that a signal handler freed while its thread was in the slow path; the next slow path of any thread frees
// them.
constinit std::atomic<FreeBlock*> g_deferred{nullptr};

void defer_free(void* p) {
  auto* const block = static_cast<FreeBlock*>(p);
  block->next = g_deferred.load(std::memory_order_relaxed);
  while (!g_deferred.compare_exchange_weak(block->next, block, std::memory_order_release, std::memory_order_relaxed)) {
  }
}

// The same of guarded memory, into which nothing may be written; more than there is room for stay with the program.
constinit std::atomic<void*> g_deferred_guarded[64] = {};
constinit std::atomic<bool> g_guarded_are_deferred{false};

void defer_guarded_free(void* p) {
  for (std::atomic<void*>& place : g_deferred_guarded) {
    void* nobody = nullptr;
    if (!place.compare_exchange_strong(nobody, p, std::memory_order_release, std::memory_order_relaxed)) continue;
    return g_guarded_are_deferred.store(true, std::memory_order_release);
  }
}

void free_in_range(void* p);

void free_deferred_guarded() {
  g_guarded_are_deferred.exchange(false, std::memory_order_acq_rel);
  for (std::atomic<void*>& place : g_deferred_guarded) {
    void* const p = place.exchange(nullptr, std::memory_order_acquire);
    if (p == nullptr) continue;
    Guard const* const guard = serving_guard();
    if (guard == nullptr || !guard->deallocate_as(p, {.door = Door::any})) free_in_range(p);
  }
}

void free_deferred() {
  FreeBlock* block = g_deferred.exchange(nullptr, std::memory_order_acquire);
  FreeBlock const* before = nullptr;
  while (block != nullptr) {
    if (!g_arena.contains(g_arena.offset_of(block))) report_bad_link(before, block);
    FreeBlock* const next = block->next;
    free_in_range(block);
    before = std::exchange(block, next);
  }
}

// A class with a max or prealloc: exact counts behind the shared heap's lock.
Outcome take_shared(std::uint32_t c, Charge& charge, void*& block) {
  Hold hold(g_shared_heap.lock);
  std::uint64_t const max = g_classes.classes[c].max;
  Bin& in_use = g_shared_heap.bins[c];  // has no list: `room` counts the blocks in use
  if (max != 0 && static_cast<std::uint64_t>(in_use.room) >= max) return Outcome::at_max;
  Outcome const result = g_shared_heap.take_one(c, charge, block);
  if (result == Outcome::done) ++in_use.room;
  return result;
}

void free_shared(Slab* slab, FreeBlock* block, SizeClass const& c) {
  {
    Hold hold(g_shared_heap.lock);
    --g_shared_heap.bins[slab->size_class].room;
    g_shared_heap.push(slab, block);
  }
  g_budget.freed(c.block, &c, nullptr);
}

// Frees a block or span of ours past the lists. The caller is busy.
void free_in_range(void* p) {
  std::size_t const offset = g_arena.offset_of(p);
  std::uint32_t const word = g_arena.owner_word(offset >> kSlotShift);
  if (word == 0) report_bad_free(p);
  std::uint32_t const c = list_in(word);
  if (is_span(word)) return is_guarded(word) ? active_guard()->deallocate(p, word) : free_span(p, offset);

  SizeClass const& size_class = g_classes.classes[c];
  Slab* const slab = slab_at(offset >> kSlotShift, size_class);
  auto* const block = static_cast<FreeBlock*>(p);
  auto const within = static_cast<std::size_t>(static_cast<char*>(p) - g_arena.memory_of(slab));
  if (!is_block_at(within, *slab, size_class)) report_bad_free(p);
  if (slab->heap == &g_shared_heap) return free_shared(slab, block, size_class);
  Heap* const heap = own_heap();
  if (heap == nullptr) return defer_free(p);
  Hold hold(heap->lock);
  if (slab->heap == heap) {
    if (heap->bins[c].head == block) report_double_free(p, size_class.block);
    heap->push(slab, block);
    heap->overflow(c);
  } else {
    heap->free_remote(slab, block, size_class);
  }
}

}  // namespace

void* allocate_block(std::uint32_t c, std::size_t alignment) noexcept {
  SizeClass const& size_class = g_classes.classes[c];
  Heap* const heap = own_heap();
  if (heap == nullptr) return pass_on(size_class.block, alignment, false);
  void* block = nullptr;
  void const* const key = size_class.shared ? static_cast<void const*>(&size_class) : heap;
  Outcome const result = until_admitted(*heap, {c, key}, [&](Charge& charge) {
    if (size_class.shared) return take_shared(c, charge, block);
    Hold hold(heap->lock);
    if (g_budget.under_pressure() && !heap->has_free(c)) {
      block = heap->take_larger(c, alignment);
      if (block != nullptr) return Outcome::done;
    }
    return heap->refill(c, charge, block);
  });
  if (result == Outcome::done) return block;
  return result == Outcome::refused ? out_of_memory() : pass_on(size_class.block, alignment, false);
}

constinit std::atomic<bool> g_started{false};
constinit std::atomic<Guard const*> g_guard{nullptr};

void declare_started() noexcept { g_started.store(true, std::memory_order_release); }

void* out_of_memory() noexcept {
  errno = ENOMEM;
  return nullptr;
}

void* pass_on(std::size_t size, std::size_t alignment, bool zeroed) noexcept {
  void* const p = g_outside.allocate(size, alignment, zeroed);
  return p != nullptr ? p : out_of_memory();
}

void* emergency(std::size_t size, std::size_t alignment) noexcept {
  void* const p = g_outside.emergency(size, alignment);
  return p != nullptr ? p : out_of_memory();
}

namespace {

__attribute__((noinline)) void* allocate_elsewhere(std::size_t size, std::size_t alignment) noexcept {
  if (size > PTRDIFF_MAX) return out_of_memory();
  if (t_thread.busy || !started()) return emergency(size, alignment);
  Busy const busy;
  if (g_deferred.load(std::memory_order_relaxed) != nullptr) free_deferred();
  if (g_guarded_are_deferred.load(std::memory_order_relaxed)) free_deferred_guarded();
  if (flush_requested()) answer_flush(true);
  if (keeper_wanted(t_thread.own)) [[unlikely]]
    call_keeper();
  if (Guard const* const guard = serving_guard(); guard != nullptr) [[unlikely]]
    return guard->allocate(size, alignment, false);
  if (window_may_open()) [[unlikely]]
    look_for_window();
  if (size > kMaxSmall) return allocate_span(size, alignment, false);
  if (std::uint32_t const c = serving_class(size); c != 0)
    return is_counted(size) ? allocate_counted(c, size, alignment) : allocate_block(c, alignment);
  return pass_on(size, alignment, false);
}

}  // namespace

void* slow_allocate(std::size_t size, std::size_t alignment) noexcept {
  Guard const* const guard = active_guard();
  if (guard != nullptr && guard->allocate_quickly != nullptr && !t_thread.busy && !flush_requested() &&
      !g_guarded_are_deferred.load(std::memory_order_relaxed)) [[unlikely]] {
    Busy const busy;
    if (void* const block = guard->allocate_quickly(size, alignment); block != nullptr) return block;
  }
  if (is_counted(size)) {
    if (void* const block = pop_counted(size); block != nullptr) return block;
  }
  return allocate_elsewhere(size, alignment);
}

void* allocate_large(std::size_t size) noexcept {
  if (size <= kMaxListed) [[likely]] {
    std::size_t const bin = bin_of_span(size);
    if (void* const block = pop_at(bin); block != nullptr) [[likely]] {
      ArenaView const& arena = t_thread.heap->arena;
      arena.set_owner(arena.offset_of(block) >> kSlotShift, static_cast<std::uint32_t>(bin));
      return block;
    }
  }
  return slow_allocate(size, kMinAlignment);
}

namespace {

__attribute__((noinline)) void deallocate_elsewhere(void* p) noexcept {
  std::size_t const offset = g_arena.offset_of(p);
  if (!g_arena.contains(offset)) {
    if (g_arena.is_reserved(p)) report_bad_free(p);
    return g_outside.deallocate(p);
  }
  std::uint32_t const word = g_arena.owner_word(offset >> kSlotShift);
  if (word == 0) report_bad_free(p);
  Heap* const current = t_thread.heap;
  if (!current->arena.contains(offset)) {
    if (current == t_thread.own) {
      current->arena.follow(g_arena);
      return deallocate(p);
    }
  } else if ((word ^ current->id) < kBinBytes) {
    ++current->bins[list_in(word)].room;  // the hot path took it before it found the list full
  }
  if (t_thread.busy) return is_guarded(word) ? defer_guarded_free(p) : defer_free(p);
  Busy const busy;
  if (flush_requested()) answer_flush(false);
  free_in_range(p);
  if (keeper_wanted(t_thread.own)) [[unlikely]]
    call_keeper();
}

}  // namespace

namespace {

// Into a list for spans. The word says that it does not lie there yet. False: nothing has happened.
inline bool free_to_span_list(Heap& heap, void* p, std::size_t offset, std::uint32_t word) noexcept {
  Bin& bin = heap.bin_at(word);
  if (offset % kSlot != 0 || bin.room <= 0) return false;
  --bin.room;
  heap.arena.set_owner(offset >> kSlotShift, 0);
  push_to(bin, p);
  return true;
}

// As Busy, for what touches batches only: a handler may go on with the lists.
class [[nodiscard]] BusyWithBatches {
 public:
  BusyWithBatches() noexcept {
    t_thread.busy = true;
    std::atomic_signal_fence(std::memory_order_seq_cst);
  }
  ~BusyWithBatches() {
    std::atomic_signal_fence(std::memory_order_seq_cst);
    t_thread.busy = false;
  }
  BusyWithBatches(BusyWithBatches const&) = delete;
  BusyWithBatches& operator=(BusyWithBatches const&) = delete;
};

// A block of another heap's slab, into a batch that is begun. False: nothing has happened.
inline bool free_to_batch(Heap& heap, void* p, std::size_t offset, std::uint32_t word) noexcept {
  SizeClass const& c = g_classes.classes[list_in(word)];
  std::size_t const within = within_slab(offset, c);
  RemoteBatch& batch = heap.batch_of(offset >> kSlotShift, c);
  if (t_thread.busy) return false;
  BusyWithBatches const busy;
  bool const fits = batch.start == static_cast<char*>(p) - within && batch.room != 0 && batch.head != p &&
                    batch.tail != p && c.exact_index_of(within) < batch.limit && !g_budget.under_pressure();
  if (fits) [[likely]]
    batch.push(static_cast<FreeBlock*>(p));
  return fits;
}

// Into one that is not, as long as nothing is to be posted.
__attribute__((noinline)) void free_to_new_batch(Heap& heap, void* p, std::size_t offset, std::uint32_t word) noexcept {
  SizeClass const& c = g_classes.classes[list_in(word)];
  std::size_t const slot = offset >> kSlotShift;
  if (!t_thread.busy) {
    BusyWithBatches const busy;
    std::size_t const within = within_slab(offset, c);
    if (!g_budget.under_pressure() &&
        heap.begin_batch(heap.batch_of(slot, c), slot, static_cast<FreeBlock*>(p), within, c))
      return;
  }
  deallocate_elsewhere(p);
}

// Apart, so that it costs the others no register.
__attribute__((noinline)) void free_guarded(void* p, std::uint32_t word) noexcept {
  if (t_thread.busy) return deallocate_elsewhere(p);
  Busy const busy;
  active_guard()->deallocate(p, word);
}

}  // namespace

// What comes here often; of what is wrong with p the other way will tell.
void slow_deallocate(void* p) noexcept {
  Heap* const heap = t_thread.heap;
  std::size_t const offset = heap->arena.offset_of(p);
  if (heap->arena.contains(offset)) [[likely]] {
    std::uint32_t const word = heap->arena.owner_word(offset >> kSlotShift);
    if (is_listed_span(word)) {
      if (free_to_span_list(*heap, p, offset, word)) return;
    } else if (word > kWithoutId && (word ^ heap->id) >= kBinBytes) {
      if (free_to_batch(*heap, p, offset, word)) return;
      return free_to_new_batch(*heap, p, offset, word);
    } else if (is_guarded(word)) {
      return free_guarded(p, word);
    }
  }
  deallocate_elsewhere(p);
}

void slow_deallocate_as(void* p, Door door, std::size_t size, std::size_t alignment) noexcept {
  if (Guard const* const guard = serving_guard(); guard != nullptr && !t_thread.busy) {
    Busy const busy;
    if (guard->deallocate_as(p, {door, size, alignment})) return;
  }
  slow_deallocate(p);
}

}  // namespace stealth
