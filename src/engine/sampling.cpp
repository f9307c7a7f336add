// See sampling.hpp.
#include "engine/sampling.hpp"

#include <utility>

namespace stealth {

constinit std::atomic<bool> g_sampling{false};

namespace {

constinit std::atomic<Sampler const*> g_sampler{nullptr};
constinit std::atomic<std::uint32_t> g_epoch{0};  // of the distances
constinit std::atomic<bool> g_small_too{false};   // whether a request for a small block can be given a span

static_assert(kClasses <= 64);  // bits of Heap::samples_due and guards_due

// Of two exponential distances the shorter one is exponential, by the sum of the rates.
void draw_distance(Heap& heap) noexcept {
  std::uint64_t distance = ~std::uint64_t{0} >> 1;
  if (is_sampling()) distance = g_sampler.load(std::memory_order_acquire)->draw(heap.sampling_random);
  heap.next_is_guards = false;
  if (GuardSampler const* const guard = guard_sampler(); guard != nullptr) {
    std::uint64_t const guards = guard->draw(heap.sampling_random);
    heap.next_is_guards = guards < distance;
    distance = min(distance, guards);
  }
  heap.until_sample = static_cast<std::int64_t>(distance);
}

// Whether small blocks can be samples at all.
bool takes_small() noexcept {
  return g_small_too.load(std::memory_order_relaxed) || g_window_open.load(std::memory_order_relaxed);
}

// Bytes until the next sample of this thread is due.
std::int64_t& distance(Heap& heap) noexcept {
  std::uint32_t const epoch = g_epoch.load(std::memory_order_relaxed);
  if (heap.sampling_epoch != epoch) {
    heap.sampling_epoch = epoch;
    heap.samples_due = 0;
    if (heap.sampling_random == 0) heap.sampling_random = static_cast<std::uint32_t>(os::monotonic_ns() ^ heap.id) | 1;
    draw_distance(heap);
  }
  return heap.until_sample;
}

void take_sample(Heap& heap, Span* span, std::size_t bytes) noexcept {
  bool const is_guards = heap.next_is_guards;
  draw_distance(heap);
  if (is_guards) return;  // which has small ones only
  span->sample = g_sampler.load(std::memory_order_acquire)->taken(bytes);
  // A list would hand it out again unseen.
  if (span->sample != 0) g_arena.set_owner(span, 1, kSpanWord);
}

std::uint32_t length_of(Bin const& list) noexcept {
  return static_cast<std::uint32_t>(max(list.limit - list.room, 1));  // room may be off by a few
}

// How many blocks of the class may be handed out before one is a sample; 0: the next one is, and whose.
std::uint32_t count_more(Heap& heap, std::uint32_t c, bool& is_guards) noexcept {
  std::int64_t& left = distance(heap);
  Bin const& list = heap.bins[c];
  // As many whether a sample is due among them or not (as pop_counted() does): if fewer were counted where one is, the
  // distance would more often end in another class's blocks, that come in between.
  std::uint32_t const count = list.head != nullptr ? length_of(list) : 1;
  if (!takes_small()) return count;  // nor do its bytes count for the spans' samples
  std::uint64_t const bit = std::uint64_t{1} << c;
  if ((heap.samples_due & bit) != 0) {
    heap.samples_due &= ~bit;
    is_guards = (heap.guards_due & bit) != 0;
    return 0;
  }
  std::uint64_t const block = g_classes.classes[c].block;
  if (left > static_cast<std::int64_t>(count * block)) {
    left -= static_cast<std::int64_t>(count * block);
    return count;
  }
  // The block in which the distance ends is the sample, when its turn comes: not another class's that comes before. For
  // those a new distance begins here.
  std::uint64_t const before = left <= 0 ? 0 : (static_cast<std::uint64_t>(left) - 1) / block;
  is_guards = heap.next_is_guards;
  if (before != 0) {
    heap.samples_due |= bit;
    heap.guards_due = (heap.guards_due & ~bit) | (is_guards ? bit : 0);
    draw_distance(heap);
  }
  return static_cast<std::uint32_t>(before);
}

void move_counted(Bin& list, Bin& counted, std::uint32_t count) noexcept {
  FreeBlock* rest = nullptr;
  if (static_cast<std::int32_t>(count) < list.limit - list.room) {
    FreeBlock* last = list.head;
    for (std::uint32_t i = 1; i < count && last->next != nullptr; ++i) last = last->next;
    rest = std::exchange(last->next, nullptr);
  }
  counted = {std::exchange(list.head, rest), -static_cast<std::int32_t>(count), 0};
  list.room = rest == nullptr ? list.limit : list.room + static_cast<std::int32_t>(count);
  note_counted_list();
}

}  // namespace

void begin_sampling(Sampler const& sampler) noexcept {
  SpanRule const* const rule = g_classes.rule_for(kMaxSmall + 1);
  g_small_too.store(rule != nullptr && rule->unrounded, std::memory_order_relaxed);
  g_sampler.store(&sampler, std::memory_order_release);
  g_sampling.store(true, std::memory_order_seq_cst);
  draw_anew();
  publish_counting();
}

void end_sampling() noexcept {
  g_sampling.store(false, std::memory_order_seq_cst);
  draw_anew();
  publish_counting();
}

void draw_anew() noexcept { g_epoch.fetch_add(1, std::memory_order_relaxed); }

std::size_t wanted_count() noexcept {
  if (is_sampling()) return ~std::size_t{0};
  return g_window_open.load(std::memory_order_seq_cst) ? kMostGuardSampled + 1 : 0;
}

namespace {

void* pop_counted_span(Heap& heap, std::size_t size) noexcept {
  if (size > kMaxListed) return nullptr;
  std::uint32_t const list = span_list(size);
  Bin& bin = heap.bins[kClasses + list];
  FreeBlock* const block = bin.head;
  auto const bytes = static_cast<std::int64_t>(bytes_in_list(list));
  if (block == nullptr || heap.until_sample <= bytes) return nullptr;
  heap.until_sample -= bytes;
  bin.head = block->next;
  ++bin.room;
  g_arena.set_owner(g_arena.run_at(g_arena.offset_of(block) >> kSlotShift), 1, (kClasses + list) << kBinShift);
  return block;
}

}  // namespace

void* pop_counted(std::size_t size) noexcept {
  Heap* const heap = t_thread.own;
  if (heap == nullptr || heap->sampling_epoch != g_epoch.load(std::memory_order_relaxed)) return nullptr;
  if (t_thread.busy || flush_requested()) return nullptr;
  Busy const busy;
  if (size > kMaxSmall) return pop_counted_span(*heap, size);
  std::uint32_t const c = serving_class(size);
  Bin& list = heap->bins[c];
  Bin& counted = heap->counted(c);
  FreeBlock* const block = list.head;
  if (block == nullptr || counted.head != nullptr || (heap->samples_due >> c & 1) != 0) return nullptr;
  std::uint32_t const count = length_of(list);
  auto const bytes = static_cast<std::int64_t>(count * std::uint64_t{g_classes.classes[c].block});
  if (heap->until_sample <= bytes || !takes_small()) return nullptr;
  heap->until_sample -= bytes;
  counted = {block->next, 1 - static_cast<std::int32_t>(count), 0};
  list.head = nullptr;
  list.room = list.limit;
  note_counted_list();
  return block;
}

namespace {

// A small request is a sample. A page for it might have to be waited for, or be refused, where a block is at hand: then
// it is none.
void* allocate_sample(Heap& heap, std::uint32_t c, std::size_t size, std::size_t alignment, bool is_guards) noexcept {
  std::size_t const block = g_classes.classes[c].block;
  bool const possible = is_guards || g_small_too.load(std::memory_order_relaxed);
  if (!possible || g_budget.under_pressure()) {
    draw_distance(heap);
    return allocate_block(c, alignment);
  }
  if (is_guards) {
    draw_distance(heap);
    GuardSampler const* const guard = guard_sampler();
    void* const p = guard != nullptr ? guard->allocate(heap, size, block, alignment) : nullptr;
    return p != nullptr ? p : allocate_block(c, alignment);
  }
  distance(heap) = 0;
  heap.next_is_guards = false;
  void* const p = allocate_span(block, alignment, false);
  std::size_t const offset = g_arena.offset_of(p);
  if (g_arena.contains(offset))
    static_cast<Span*>(g_arena.run_at(offset >> kSlotShift))->block = static_cast<std::uint32_t>(block);
  return p;
}

}  // namespace

void* allocate_counted(std::uint32_t c, std::size_t size, std::size_t alignment) noexcept {
  Heap* const heap = own_heap();
  if (heap == nullptr || g_classes.classes[c].shared) return allocate_block(c, alignment);
  Bin& counted = heap->counted(c);
  if (counted.head == nullptr) {
    bool is_guards = false;
    std::uint32_t const count = count_more(*heap, c, is_guards);
    if (count == 0) return allocate_sample(*heap, c, size, alignment, is_guards);
    if (heap->bins[c].head == nullptr) return allocate_block(c, alignment);
    move_counted(heap->bins[c], counted, count);
  }
  FreeBlock* const block = counted.head;
  counted.head = block->next;
  ++counted.room;
  return block;
}

void count_span(Heap& heap, Span* span, std::size_t bytes) noexcept {
  std::int64_t& left = distance(heap);
  left -= static_cast<std::int64_t>(bytes);
  if (left <= 0) take_sample(heap, span, bytes);
}

void count_growth(Heap& heap, Span* span, std::size_t before, std::size_t bytes) noexcept {
  if (span->sample != 0) {
    g_sampler.load(std::memory_order_acquire)->resized(span->sample, bytes);
  } else if (bytes > before) {
    std::int64_t& left = distance(heap);
    left -= static_cast<std::int64_t>(bytes - before);
    if (left <= 0) take_sample(heap, span, bytes);
  }
}

void forget_sample(Span* span) noexcept {
  if (std::uint32_t const sample = std::exchange(span->sample, 0); sample != 0)
    g_sampler.load(std::memory_order_acquire)->freed(sample);
}

}  // namespace stealth
