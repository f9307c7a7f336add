// See slabs.hpp.
#include "guard/slabs.hpp"

#include "guard/contents.hpp"
#include "guard/pages.hpp"

namespace stealth::guard {

constinit Shape g_shapes[kMostClasses] = {};
constinit std::uint8_t g_class_of[kGranules + 1] = {};
constinit std::atomic<std::uint8_t> g_quick_class[kMaxSmall / sizeof(Word) + 1] = {};

namespace {

constexpr std::size_t kQuarantineBytes = 64 * kKiB;
constexpr std::uint32_t kLeastQuarantine = 16, kMostQuarantine = 1024;
// Of one slab's free blocks that become ready at once, and of fresh ones: so many operations take no lock.
constexpr std::uint32_t kMostReady = 32;

Shape shape_of(std::size_t block) noexcept {
  std::size_t const guard = guard_bytes();
  Shape shape = {};
  shape.block = static_cast<std::uint32_t>(block);
  shape.capacity = static_cast<std::uint32_t>((kSlabBytes - 2 * guard) / (block + sizeof(Info)));
  auto const first_of = [&] { return align_up(shape.capacity * sizeof(Info), guard) + guard; };
  while (first_of() + shape.capacity * block + guard > kSlabBytes) --shape.capacity;
  shape.first = static_cast<std::uint32_t>(first_of());
  shape.reciprocal = reciprocal_of(block);
  shape.quarantine = min(max(static_cast<std::uint32_t>(kQuarantineBytes / block), kLeastQuarantine), kMostQuarantine);
  return shape;
}

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

// Bytes of a slab, in the pages that they lie in.
struct Pages {
  std::uint32_t from, to;
  Pages(std::size_t begin, std::size_t end) noexcept
      : from(static_cast<std::uint32_t>(begin / kPage)), to(static_cast<std::uint32_t>(divide_up(end, kPage))) {}
  [[nodiscard]] bool contain(Pages other) const noexcept { return from <= other.from && other.to <= to; }
};
Pages pages_of_info(std::uint32_t index) noexcept { return {index * sizeof(Info), (index + 1) * sizeof(Info)}; }
Pages pages_of_block(Shape const& shape, std::uint32_t index) noexcept {
  std::size_t const begin = shape.first + std::size_t{index} * shape.block;
  return {begin, begin + shape.block};
}

// The next one, whose pages are touched.
Info* carve_next(GuardedSlab* slab, Shape const& shape) noexcept {
  std::uint32_t const index = slab->carved;
  Info* const info = &slab->infos()[index];
  info->block = shape.block;
  info->size = 0;
  info->door = Door::malloc;
  info->allocated_by = info->freed_by = kNoTrace;
  info->enter(State::unused);
  if (slab->size_class != kNothing) {
    char* const block = start_of(info, shape);
    clear(block, shape.block);
    store(block + shape.block - kCanaryBytes, g_canary);
  }
  __atomic_store_n(&slab->carved, index + 1, __ATOMIC_RELEASE);
  ++slab->away;
  return info;
}

// Empty slabs, but for some: to give one back and make another takes longer than what is done with its blocks.
void give_back_empty(BlockList& mine) noexcept {
  while (mine.empty > (g_budget.under_pressure() ? 0 : mine.slabs / 8)) {
    GuardedSlab* const slab = mine.partial.back();
    if (slab->size_class != kNothing) {
      for (std::uint32_t i = 0; i < slab->carved; ++i) check_free(block_at(slab, i), slab->infos()[i]);
    }
    Heap& heap = *slab->heap;
    mine.partial.remove(slab);
    if (!give_back(slab)) return mine.partial.push_back(slab);
    --mine.empty;
    --mine.slabs;
    g_budget.own_freed(kSlabBytes, heap.collecting ? nullptr : &heap.account);
  }
}

// All of its blocks are free.
void emptied(BlockList& mine, GuardedSlab* slab) noexcept {
  mine.partial.remove(slab);
  mine.partial.push_back(slab);
  ++mine.empty;
  give_back_empty(mine);
}

}  // namespace

void begin_slabs() noexcept {
  g_shapes[kNothing] = shape_of(kGranule);
  std::uint32_t c = kNothing;
  for (std::size_t granule = 1; granule <= kGranules; ++granule) {
    std::size_t const block = ladder_step(granule * kGranule);
    if (c == kNothing || g_shapes[c].block != block) g_shapes[++c] = shape_of(block);
    g_class_of[granule] = static_cast<std::uint8_t>(c);
  }
}

std::uint32_t aligned_class_for(std::size_t size, std::size_t alignment) noexcept {
  std::uint32_t c = g_class_of[divide_up(max(size + kCanaryBytes, alignment), kGranule)];
  while (c < kMostClasses && g_shapes[c].block % alignment != 0) ++c;
  return c == kMostClasses || g_shapes[c].block == 0 ? kNoBlockClass : c;
}

Outcome carve(Heap& heap, BlockList& mine, std::uint32_t c, Charge& charge, Info*& info) noexcept {
  if (mine.carving == nullptr) {
    mine.carving = new_slab(heap, c);
    if (mine.carving == nullptr) return Outcome::no_memory;
    ++mine.slabs;
  }
  GuardedSlab* const slab = mine.carving;
  Shape const& shape = g_shapes[c];
  Pages const infos = pages_of_info(slab->carved), blocks = pages_of_block(shape, slab->carved);
  if (!g_arena.touch(slab, infos.from, infos.to, charge)) return Outcome::over_capacity;
  if (c != kNothing && !g_arena.touch(slab, blocks.from, blocks.to, charge)) return Outcome::over_capacity;
  info = carve_next(slab, shape);
  Info* last = nullptr;
  for (std::uint32_t more = 0; more < kMostReady && slab->carved < shape.capacity; ++more) {
    if (!infos.contain(pages_of_info(slab->carved)) || !blocks.contain(pages_of_block(shape, slab->carved))) break;
    Info* const fresh = carve_next(slab, shape);
    fresh->next = nullptr;
    (last == nullptr ? mine.ready : last->next) = fresh;
    last = fresh;
  }
  if (slab->carved == shape.capacity) mine.carving = nullptr;
  return Outcome::done;
}

void make_ready(BlockList& mine) noexcept {
  GuardedSlab* const slab = mine.partial.front();
  if (slab == nullptr) return;
  if (slab->away == 0 && slab != mine.carving) --mine.empty;
  for (std::uint32_t count = 0; count < kMostReady && slab->free != nullptr; ++count) {
    Info* const info = slab->free;
    slab->free = info->next;
    ++slab->away;
    info->next = mine.ready;
    mine.ready = info;
  }
  slab->listed = slab->free != nullptr;
  if (!slab->listed) mine.partial.remove(slab);
}

void put_back(BlockList& mine, Info* info) noexcept {
  GuardedSlab* const slab = slab_of(info);
  info->next = slab->free;
  slab->free = info;
  if (!slab->listed) mine.partial.push_front(slab);
  slab->listed = true;
  if (--slab->away == 0 && slab != mine.carving) emptied(mine, slab);
}

void retire_carving(BlockList& mine) noexcept {
  GuardedSlab* const slab = mine.carving;
  if (slab == nullptr || slab->away != 0 || slab->carved == 0) return;
  mine.carving = nullptr;
  emptied(mine, slab);
}

}  // namespace stealth::guard
