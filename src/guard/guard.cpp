// See guard.hpp: what the engine asks of a guard, by the two kinds of allocations.
#include "guard/guard.hpp"

#include <cstring>
#include <utility>

#include "base/mappings.hpp"
#include "engine/slow.hpp"
#include "guard/blocks.hpp"
#include "guard/canary.hpp"
#include "guard/reports.hpp"
#include "guard/samples.hpp"
#include "guard/spans.hpp"

namespace stealth::guard {

bool Record::leave_live() noexcept {
  for (int tries = 0; !leave(State::live); ++tries) {
    constexpr int kTries = 20'000;
    if (state.load(std::memory_order_relaxed) != State::moving || tries == kTries) return false;
    std::uint32_t const never = 0;
    os::futex_wait(&never, 0, 50'000);
  }
  return true;
}

namespace {
constinit std::atomic<bool> g_doors_mix{false};
}

bool take_leave_slowly(void const* p, Record& record, Farewell const& farewell, bool has_left) noexcept {
  if (!has_left && !record.leave_live()) {
    if (record.state.load(std::memory_order_relaxed) == State::moving) return false;
    report_double_free(p, record);
  }
  if (record.door != farewell.door && farewell.door != Door::any && !g_doors_mix.load(std::memory_order_relaxed))
    report_wrong_door(p, farewell.door, record);
  if (farewell.size != Farewell::kUnknown && farewell.size != record.size) report_wrong_size(p, farewell.size, record);
  if (farewell.alignment != 0 && reinterpret_cast<std::uintptr_t>(p) % farewell.alignment != 0)
    report_wrong_alignment(p, farewell.alignment, record);
  return true;
}

namespace {

std::uint32_t map_word_of(void const* p) noexcept {
  std::size_t const offset = g_arena.offset_of(p);
  return g_arena.contains(offset) ? g_arena.owner_word(offset >> kSlotShift) : 0;
}

Record& record_of(void* p) noexcept { return map_word_of(p) == kGuardedBlock ? block_record(p) : span_record(p); }

// Classes with a max or prealloc have counts that must be exact: they are served as without a guard.
void* allocate(std::size_t size, std::size_t alignment, bool zeroed) noexcept {
  Heap* const heap = t_thread.own != nullptr ? t_thread.own : own_heap();
  if (heap == nullptr || max(size, alignment) > kLargestSpan) return pass_on(size, alignment, zeroed);
  if (size <= kMaxSmall) {
    std::uint32_t const served_by = serving_class(size);
    if (served_by == 0) return pass_on(size, alignment, zeroed);
    if (g_classes.classes[served_by].shared && g_classes.classes[served_by].block % alignment == 0) {
      void* const block = stealth::allocate_block(served_by, alignment);
      return block != nullptr && zeroed ? std::memset(block, 0, size) : block;
    }
  } else {
    SpanRule const* const rule = g_classes.rule_for(size);
    if (rule == nullptr) return pass_on(size, alignment, zeroed);
    if (rule->max != 0 || rule->prealloc != 0) return stealth::allocate_span(size, alignment, zeroed);
  }
  std::uint32_t const c = block_class(size, alignment);
  if (size <= kMaxSmall && alignment <= kMinAlignment) learn_quick_class(size, c);
  return c != kNoBlockClass ? allocate_block(*heap, c, size, alignment, zeroed)
                            : allocate_span(*heap, size, alignment, zeroed);
}

void* allocate_quickly(std::size_t size, std::size_t alignment) noexcept {
  std::uint32_t const c = quick_class_for(size);
  Heap* const heap = t_thread.own;
  if (c == kNothing || alignment > kMinAlignment || heap == nullptr) return nullptr;
  return allocate_block_quickly(*heap, c, size);
}

void free_as(void* p, std::uint32_t word, Farewell const& farewell) noexcept {
  word == kGuardedBlock ? free_block(p, farewell) : free_span(p, farewell);
}

void deallocate(void* p, std::uint32_t word) noexcept { free_as(p, word, {}); }

bool deallocate_as(void* p, Farewell const& farewell) noexcept {
  std::uint32_t const word = map_word_of(p);
  if (!is_guarded(word)) return false;
  free_as(p, word, farewell);
  return true;
}

std::size_t size_of(void* p) noexcept {
  Record const& record = record_of(p);
  if (record.state.load(std::memory_order_relaxed) == State::freed) report_use(p, record);
  return record.size;
}

void came_by(void* p, Door door) noexcept {
  std::uint32_t const word = map_word_of(p);
  if (!is_guarded(word)) return;
  // The last block's slab may have gone back meanwhile, and be a span's memory now.
  Record* const last = word == kGuardedBlock ? last_block_of(t_thread.own, p) : nullptr;
  (last != nullptr ? *last : record_of(p)).door = door;
}

void inside(void* p) noexcept {
  char* start = nullptr;
  Record const* record = nullptr;
  if (find_span(p, start, record)) report_inside(p, start, *record);
}

// On a stack, in a file's mapping, or nowhere: no allocator gives such memory. Others may, so it goes on to the next.
void foreign(void* p) noexcept {
  struct Search {
    std::uint64_t address, here, top;
    bool mapped = false, stack = false, file = false, closed = false;
  } search = {reinterpret_cast<std::uintptr_t>(p), reinterpret_cast<std::uintptr_t>(__builtin_frame_address(0)),
              reinterpret_cast<std::uintptr_t>(&t_thread)};
  for_each_mapping(&search, [](void* context, Mapping const& mapping) noexcept {
    Search& it = *static_cast<Search*>(context);
    if (it.address < mapping.start || it.address >= mapping.end) return true;
    it.mapped = true;
    // A thread's stack ends below what is its own; others, of coroutines, may be malloc's.
    bool const is_threads = it.here >= mapping.start && it.here <= it.address && it.address < it.top;
    it.stack = mapping.path == "[stack]" || (is_threads && it.top < mapping.end);
    it.file =
        mapping.path.starts_with('/') && !mapping.path.starts_with("/memfd:") && !mapping.path.starts_with("/dev/");
    // One that begins there may be what the program has made so; what its allocator knows of it stands before it.
    it.closed = !mapping.readable && it.address != mapping.start;
    return false;
  });
  if (search.stack) report_foreign(p, "it lies on a stack");
  if (search.file) report_foreign(p, "it lies in a program's or library's own data");
  if (search.closed) report_foreign(p, "it lies in memory that cannot be read");
  if (!search.mapped) report_foreign(p, "nothing is mapped there");
}

void release(Heap& heap, bool all) noexcept {
  release_blocks(heap, all);
  if (all) release_spans(heap);
}

constinit Guard const kFull = {.deallocate = deallocate,
                               .size_of = size_of,
                               .allocate = allocate,
                               .came_by = came_by,
                               .deallocate_as = deallocate_as,
                               .inside = inside,
                               .foreign = foreign,
                               .allocate_quickly = allocate_quickly,
                               .release = release};

void begin(std::uint64_t seed) noexcept {
  constexpr std::uint64_t kNoZero = 0x0101'0101'0101'0101u;
  g_canary = seed | kNoZero;
}

}  // namespace

void begin_full(std::uint64_t seed) noexcept {
  begin(seed);
  begin_slabs();
  static_cast<void>(map_traces());
  g_guard.store(&kFull, std::memory_order_release);
}

void begin_sample(std::uint64_t seed, void (*want_stacks)() noexcept) noexcept {
  begin(seed);
  begin_samples(want_stacks);
}

void mix_doors() noexcept { g_doors_mix.store(true, std::memory_order_relaxed); }

void check_everything() noexcept {
  if (serving_guard() == nullptr || t_thread.busy) return;
  Busy const busy;
  std::size_t const slots = g_arena.committed_bytes() >> kSlotShift;
  for (std::size_t slot = 0; slot < slots; ++slot) {
    std::uint32_t const word = g_arena.owner_word(slot);
    if (word == kGuardedBlock) {
      check_slab(slot);
      slot |= kSlabSlots - 1;
    } else if (word == kGuardedSpan) {
      check_span(slot);
    }
  }
}

void explain_access(void const* address) noexcept {
  std::size_t const offset = g_arena.offset_of(address);
  if (active_guard() == nullptr || !g_arena.contains(offset)) return;
  char* start = nullptr;
  Record const* record = nullptr;
  bool const is_block = map_word_of(address) == kGuardedBlock;
  bool const found = serving_guard() == nullptr ? is_block && find_sample(address, start, record)
                     : is_block                 ? find_block(address, start, record)
                                                : find_span(address, start, record);
  if (!found) return;
  // The program has protected its own memory.
  bool const is_inside = address >= start && address < start + record->size;
  if (is_inside && record->state.load(std::memory_order_acquire) == State::live) return;
  Trace touched_by = kNoTrace;
  if (!t_thread.busy) {
    Busy const busy;
    touched_by = trace_here(nullptr);
  }
  say_access(address, start, *record, touched_by);
}

}  // namespace stealth::guard
