// See blocks.hpp.
#include "guard/blocks.hpp"

#include <cstring>
#include <utility>

#include "engine/slow.hpp"
#include "guard/canary.hpp"
#include "guard/lists.hpp"
#include "guard/pages.hpp"
#include "guard/reports.hpp"

namespace stealth::guard {

struct Info : Record {
  Info* next;  // in quarantine; free in its slab; on its way to its heap
};

// `away` blocks are with the program, in quarantine or on their way there: carved == away + length of `free`.
struct GuardedSlab : Run {
  Heap* heap;
  Info* free;
  std::uint32_t carved, away;
  std::uint32_t size_class;
  bool listed;  // == free != null
  bool has_guards;

  [[nodiscard]] Info* infos() const noexcept { return reinterpret_cast<Info*>(g_arena.memory_of(this)); }
};
static_assert(sizeof(GuardedSlab) <= kRunStride);

namespace {

constexpr std::size_t kSlabBytes = kSlabSlots * kSlot;
// Requests for nothing get addresses that cannot be touched.
constexpr std::uint32_t kNothing = 0;
constexpr std::size_t kGranules = (kMostBlock + kCanaryBytes) / kGranule + 1;
// Freed blocks of a class that a heap keeps from being handed out.
constexpr std::size_t kQuarantineBytes = 64 * kKiB;
constexpr std::uint32_t kLeastQuarantine = 16, kMostQuarantine = 1024;

struct Shape {
  std::uint32_t block, capacity, quarantine;
  std::uint32_t first;    // where block 0 begins, in bytes from the slab's start
  std::uint64_t inverse;  // as SizeClass::inverse
};

constinit Shape g_shapes[kMostClasses] = {};
constinit std::uint8_t g_class_of[kGranules + 1] = {};
GuardedSlab* slab_at(std::size_t slot) noexcept {
  return static_cast<GuardedSlab*>(g_arena.run_at(slot & ~std::size_t{kSlabSlots - 1}));
}

char* block_at(GuardedSlab const* slab, std::uint32_t index) noexcept {
  Shape const& shape = g_shapes[slab->size_class];
  return g_arena.memory_of(slab) + shape.first + std::size_t{index} * shape.block;
}

GuardedSlab* slab_of(Info const* info) noexcept { return slab_at(g_arena.offset_of(info) >> kSlotShift); }
std::uint32_t index_of(GuardedSlab const* slab, Info const* info) noexcept {
  return static_cast<std::uint32_t>(info - slab->infos());
}
char* start_of(Info const* info) noexcept {
  GuardedSlab const* const slab = slab_of(info);
  return block_at(slab, index_of(slab, info));
}

// --- what stands in a block ---

// A free one: zeros, and a canary.
void clear(char* block, std::uint32_t bytes) noexcept { fill_words(block, block + bytes - kCanaryBytes, 0); }

bool is_clear(char const* block, std::uint32_t bytes) noexcept {
  return are_words(block, block + bytes - kCanaryBytes, 0) && load(block + bytes - kCanaryBytes) == g_canary;
}

void check_free(char const* block, Info const& info) noexcept {
  if (is_clear(block, info.block)) return;
  char const* const canary = block + info.block - kCanaryBytes;
  char const* const written = written_in(block, canary);
  report_write_after_free(block, written != nullptr ? written : damage_in(canary, canary + kCanaryBytes), info);
}

bool is_undamaged(char const* block, Info const& info) noexcept {
  return is_canary(block + info.size, block + info.block);
}

void check_around(GuardedSlab const* slab, std::uint32_t index, char const* block, Info const& info) noexcept {
  if (!is_undamaged(block, info)) report_overflow(block, damage_in(block + info.size, block + info.block), info);
  // Before the first one is an inaccessible page.
  if (index != 0 && load(block - kCanaryBytes) != g_canary)
    report_underflow(block, damage_in(block - kCanaryBytes, block), info, block - info.block,
                     &slab->infos()[index - 1]);
}

// --- slabs; the caller holds the heap's lock ---

GuardedSlab* new_slab(Heap& heap, std::uint32_t c) noexcept {
  auto* const slab = static_cast<GuardedSlab*>(g_arena.allocate(Zone::slabs, kSlabSlots, kSlabSlots));
  if (slab == nullptr) return nullptr;
  slab->heap = &heap;
  slab->free = nullptr;
  slab->carved = slab->away = 0;
  slab->size_class = c;
  slab->listed = false;
  char* const first = g_arena.memory_of(slab) + g_shapes[c].first;
  char* const end = g_arena.memory_of(slab) + kSlabBytes;
  std::size_t const guard = guard_bytes();
  if (c == kNothing) {
    if (!close_pages(first - guard, static_cast<std::size_t>(end - first) + guard)) {
      g_arena.free(slab);
      return nullptr;
    }
    slab->has_guards = true;
  } else {
    slab->has_guards = close_pages(first - guard, guard);
    if (slab->has_guards && !close_pages(end - guard, guard)) slab->has_guards = !open_pages(first - guard, guard, 1);
  }
  g_arena.set_owner(slab, kSlabSlots, kGuardedBlock);
  return slab;
}

// False: it stays, for the kernel does not let it be used as a whole.
bool give_back(GuardedSlab* slab) noexcept {
  Shape const& shape = g_shapes[slab->size_class];
  std::size_t const from = shape.first - guard_bytes();
  if (slab->has_guards &&
      !open_pages(g_arena.memory_of(slab) + from, kSlabBytes - from, slab->size_class == kNothing ? 1 : 2))
    return false;
  g_arena.set_owner(slab, kSlabSlots, 0);
  g_arena.free(slab);
  return true;
}

Outcome touch_bytes(GuardedSlab* slab, std::size_t from, std::size_t to, Charge& charge) noexcept {
  bool const charged = g_arena.touch(slab, static_cast<std::uint32_t>(from / kPage),
                                     static_cast<std::uint32_t>(divide_up(to, kPage)), charge);
  return charged ? Outcome::done : Outcome::over_capacity;
}

Outcome carve(Heap& heap, BlockList& mine, std::uint32_t c, Charge& charge, Info*& info) noexcept {
  if (mine.carving == nullptr) mine.carving = new_slab(heap, c);
  GuardedSlab* const slab = mine.carving;
  if (slab == nullptr) return Outcome::no_memory;
  Shape const& shape = g_shapes[c];
  std::uint32_t const index = slab->carved;
  std::size_t const block = shape.first + std::size_t{index} * shape.block;
  Outcome outcome = touch_bytes(slab, index * sizeof(Info), (index + 1) * sizeof(Info), charge);
  if (outcome == Outcome::done && c != kNothing) outcome = touch_bytes(slab, block, block + shape.block, charge);
  if (outcome != Outcome::done) return outcome;
  info = &slab->infos()[index];
  info->block = shape.block;
  info->size = 0;
  info->door = Door::malloc;
  info->allocated_by = info->freed_by = kNoTrace;
  info->enter(State::moving);
  if (c != kNothing) {
    char* const fresh = block_at(slab, index);
    clear(fresh, shape.block);
    store(fresh + shape.block - kCanaryBytes, g_canary);
  }
  __atomic_store_n(&slab->carved, slab->carved + 1, __ATOMIC_RELEASE);
  ++slab->away;
  if (slab->carved == shape.capacity) mine.carving = nullptr;
  return Outcome::done;
}

// It has been in quarantine for long enough.
void release(BlockList& mine, Info* info) noexcept {
  GuardedSlab* const slab = slab_of(info);
  info->next = slab->free;
  slab->free = info;
  if (!slab->listed) mine.partial.push_front(slab);
  slab->listed = true;
  if (--slab->away != 0 || slab == mine.carving || mine.partial.has_one()) return;
  if (slab->size_class != kNothing) {
    for (std::uint32_t i = 0; i < slab->carved; ++i) check_free(block_at(slab, i), slab->infos()[i]);
  }
  Heap& heap = *slab->heap;
  mine.partial.remove(slab);
  if (give_back(slab)) {
    g_budget.own_freed(kSlabBytes, &heap.account);
  } else {
    mine.partial.push_back(slab);
  }
}

Info* take_oldest(BlockList& mine) noexcept {
  Info* const info = mine.oldest;
  mine.oldest = info->next;
  if (mine.oldest == nullptr) mine.newest = nullptr;
  --mine.quarantined;
  return info;
}

void quarantine(Lists& lists, Info* info) noexcept {
  std::uint32_t const c = slab_of(info)->size_class;
  BlockList& mine = lists.blocks[c];
  info->next = nullptr;
  (mine.newest == nullptr ? mine.oldest : mine.newest->next) = info;
  mine.newest = info;
  if (++mine.quarantined > g_shapes[c].quarantine) release(mine, take_oldest(mine));
}

void take_returned(Lists& lists) noexcept {
  if (lists.returned.load(std::memory_order_relaxed) == nullptr) return;
  Info* info = lists.returned.exchange(nullptr, std::memory_order_acquire);
  while (info != nullptr) quarantine(lists, std::exchange(info, info->next));
}

// One that costs nothing; null: there is none.
Info* take_free(BlockList& mine) noexcept {
  GuardedSlab* const slab = mine.partial.front();
  if (slab == nullptr) return nullptr;
  Info* const info = slab->free;
  slab->free = info->next;
  ++slab->away;
  slab->listed = slab->free != nullptr;
  if (!slab->listed) mine.partial.remove(slab);
  return info;
}

Outcome take(Heap& heap, Lists& lists, std::uint32_t c, Charge& charge, Info*& info) noexcept {
  BlockList& mine = lists.blocks[c];
  if (info = take_free(mine); info != nullptr) return Outcome::done;
  Outcome const outcome = carve(heap, mine, c, charge, info);
  if (outcome == Outcome::done || mine.quarantined == 0) return outcome;
  info = take_oldest(mine);  // rather than to wait, or to refuse
  return Outcome::done;
}

Info* take_quickly(Heap& heap, Lists& lists, std::uint32_t c) noexcept {
  Hold hold(heap.lock);
  take_returned(lists);
  return take_free(lists.blocks[c]);
}

// --- from pointers ---

Info& find(void* p) noexcept {
  std::size_t const offset = g_arena.offset_of(p);
  GuardedSlab* const slab = slab_at(offset >> kSlotShift);
  Shape const& shape = g_shapes[slab->size_class];
  std::size_t const within = offset % kSlabBytes - shape.first;
  std::uint32_t const carved = __atomic_load_n(&slab->carved, __ATOMIC_ACQUIRE);
  if (offset % kSlabBytes < shape.first || within >= std::size_t{carved} * shape.block)
    report_never_given(p, shape.block);
  auto const index = static_cast<std::uint32_t>(within * shape.inverse >> 40);
  if (std::size_t{index} * shape.block != within) report_inside(p, block_at(slab, index), slab->infos()[index]);
  return slab->infos()[index];
}

std::uint32_t class_for(std::size_t size, std::size_t alignment) noexcept {
  if (size == 0 && alignment <= kGranule) return kNothing;
  std::uint32_t c = g_class_of[divide_up(max(size + kCanaryBytes, alignment), kGranule)];
  while (c < kMostClasses && g_shapes[c].block % alignment != 0) ++c;
  return g_shapes[c].block == 0 ? kNoBlockClass : c;
}

Shape shape_of(std::size_t block) noexcept {
  std::size_t const guard = guard_bytes();
  Shape shape = {};
  shape.block = static_cast<std::uint32_t>(block);
  shape.capacity = static_cast<std::uint32_t>((kSlabBytes - 2 * guard) / (block + sizeof(Info)));
  auto const first_of = [&] { return align_up(shape.capacity * sizeof(Info), guard) + guard; };
  while (first_of() + shape.capacity * block + guard > kSlabBytes) --shape.capacity;
  shape.first = static_cast<std::uint32_t>(first_of());
  shape.inverse = ((std::uint64_t{1} << 40) + block - 1) / block;
  shape.quarantine = min(max(static_cast<std::uint32_t>(kQuarantineBytes / block), kLeastQuarantine), kMostQuarantine);
  return shape;
}

}  // namespace

void begin_blocks() noexcept {
  g_shapes[kNothing] = shape_of(kGranule);
  std::uint32_t c = kNothing;
  for (std::size_t granule = 1; granule <= kGranules; ++granule) {
    std::size_t const block = ladder_step(granule * kGranule);
    if (c == kNothing || g_shapes[c].block != block) g_shapes[++c] = shape_of(block);
    g_class_of[granule] = static_cast<std::uint8_t>(c);
  }
}

std::uint32_t block_class(std::size_t size, std::size_t alignment) noexcept {
  return size <= kMostBlock && alignment <= kMostAlignment ? class_for(size, alignment) : kNoBlockClass;
}

void* allocate_block(Heap& heap, std::uint32_t c, std::size_t size, std::size_t alignment, bool zeroed) noexcept {
  Lists* const lists = lists_of(heap);
  if (lists == nullptr) return out_of_memory();
  Trace const here = trace_here(&lists->recent);
  Info* info = take_quickly(heap, *lists, c);
  if (info == nullptr) {
    Outcome const outcome = until_admitted(heap, {serving_class(size), &heap}, [&](Charge& charge) {
      Hold hold(heap.lock);
      return take(heap, *lists, c, charge, info);
    });
    if (outcome == Outcome::refused) return out_of_memory();
    if (outcome != Outcome::done) return pass_on(size, alignment, zeroed);
  }
  char* const block = start_of(info);
  if (info->state.load(std::memory_order_relaxed) == State::freed) {
    if (c != kNothing) check_free(block, *info);
    info->enter(State::moving);
  }
  info->size = size;
  info->door = Door::malloc;
  info->allocated_by = here;
  info->freed_by = kNoTrace;
  if (c != kNothing) {
    if (!zeroed) fill_words(block, word_of(block + size + sizeof(Word) - 1), kUninitialised);
    fill_canary(block + size, block + info->block);
  }
  info->enter(State::live);
  count_guarded(&heap, static_cast<std::int64_t>(info->block));
  return block;
}

void free_block(void* p) noexcept {
  Info& info = find(p);
  if (!take_leave(p, info)) return;
  GuardedSlab* const slab = slab_of(&info);
  auto* const block = static_cast<char*>(p);
  Heap* const own = own_heap();
  info.freed_by = trace_here(recent_traces(own));
  if (slab->size_class != kNothing) {
    check_around(slab, index_of(slab, &info), block, info);
    clear(block, info.block);
  }
  count_guarded(own, -static_cast<std::int64_t>(info.block));
  info.enter(State::freed);
  if (own != nullptr && slab->heap == own) {
    Hold hold(own->lock);
    quarantine(*static_cast<Lists*>(own->guarded), &info);
  } else {
    std::atomic<Info*>& returned = static_cast<Lists*>(slab->heap->guarded)->returned;
    info.next = returned.load(std::memory_order_relaxed);
    while (!returned.compare_exchange_weak(info.next, &info, std::memory_order_release, std::memory_order_relaxed)) {
    }
  }
}

Record& block_record(void* p) noexcept { return find(p); }

void check_slab(std::size_t slot) noexcept {
  GuardedSlab const* const slab = slab_at(slot);
  std::uint32_t const carved = __atomic_load_n(&slab->carved, __ATOMIC_ACQUIRE);
  if (slab->size_class == kNothing) return;
  for (std::uint32_t i = 0; i < carved; ++i) {
    Info const& info = slab->infos()[i];
    char const* const block = block_at(slab, i);
    State const state = info.state.load(std::memory_order_acquire);
    bool const damaged =
        (state == State::live && !is_undamaged(block, info)) || (state == State::freed && !is_clear(block, info.block));
    // Somebody may just have taken it, or given it back.
    if (!damaged || info.state.load(std::memory_order_acquire) != state) continue;
    if (state == State::live) check_around(slab, i, block, info);
    if (state == State::freed) check_free(block, info);
  }
}

bool find_block(void const* address, char*& start, Record const*& record) noexcept {
  std::size_t const offset = g_arena.offset_of(address);
  GuardedSlab const* const slab = slab_at(offset >> kSlotShift);
  Shape const& shape = g_shapes[slab->size_class];
  std::uint32_t const carved = __atomic_load_n(&slab->carved, __ATOMIC_ACQUIRE);
  if (carved == 0) return false;
  std::size_t const within = offset % kSlabBytes;
  std::size_t const index =
      within < shape.first ? 0 : min<std::size_t>((within - shape.first) / shape.block, carved - 1);
  start = block_at(slab, static_cast<std::uint32_t>(index));
  record = &slab->infos()[index];
  return true;
}

}  // namespace stealth::guard
