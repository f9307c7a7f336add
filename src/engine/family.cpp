// The rest of the family: aligned, zeroed, resized, measured. All of it stands on allocate() and deallocate().
#include <cstring>

#include "engine/guarding.hpp"
#include "engine/slow.hpp"

namespace stealth {

namespace {

// What stands behind a pointer in our range that may be freed; dies for any other that costs little to tell.
struct Target {
  std::size_t bytes;
  bool is_span;     // can be resized as one
  bool is_guarded;  // and so moves at each change
};

Target look_up(void* p, std::size_t offset) {
  std::uint32_t const word = g_arena.owner_word(offset >> kSlotShift);
  if (word == 0) report_bad_use(p);
  if (!is_span(word)) {
    SizeClass const& c = g_classes.classes[list_in(word)];
    if (!begins_block(within_slab(offset, c), c)) report_bad_use(p);
    Heap* const heap = t_thread.heap;
    if (std::uint32_t const mine = word ^ heap->id; mine < kBinBytes && heap->bin_at(mine).head == p)
      report_use_after_free(p, c.block);
    return {c.block, false, false};
  }
  if (is_guarded(word)) return {active_guard()->size_of(p), false, true};
  if (offset % kSlot != 0) report_bad_use(p);
  auto const* const span = static_cast<Span*>(g_arena.run_at(offset >> kSlotShift));
  // A sample is as large as the block in whose place it is, and moves when that would: a program that asks for the
  // size, or resizes, would else move samples alone, and the profile lose them.
  if (span->block != 0) return {span->block, false, false};
  return {span->pages * kPage, true, false};
}

// Of a pointer that is not in the range as far as it is usable: ours all the same, and so nobody else's.
void refuse_reserved(void* p) {
  if (g_arena.is_reserved(p)) report_bad_use(p);
}

}  // namespace

void* allocate_aligned(std::size_t size, std::size_t alignment) noexcept {
  if (alignment <= kMinAlignment) return allocate(size);
  if (!started()) return emergency(size, alignment);
  if (alignment > PTRDIFF_MAX || size > PTRDIFF_MAX - alignment) return out_of_memory();
  if (serving_guard() != nullptr) return slow_allocate(size, alignment);
  // Slabs begin at slot boundaries, so a class's blocks are aligned to what divides its size. On the built-in ladder
  // the first class that holds the size, rounded up to the alignment, always is.
  if (size <= kMaxSmall && alignment <= kMaxSmall) {
    std::size_t const rounded = align_up(max(size, std::size_t{1}), alignment);
    for (std::size_t wanted = rounded; wanted <= kMaxSmall; wanted += alignment) {
      std::uint32_t const c = serving_class(wanted);
      if (c != 0 && g_classes.classes[c].block % alignment == 0) {
        void* const block = pop(wanted);
        return block != nullptr ? block : slow_allocate(wanted, alignment);
      }
      if (c == 0) break;
    }
  }
  if (t_thread.busy) return emergency(size, alignment);
  Busy const busy;
  return allocate_span(size, alignment, false);
}

namespace {

__attribute__((noinline)) void* allocate_zeroed_slowly(std::size_t size) noexcept {
  Guard const* const guard = serving_guard();
  if (size <= kMaxSmall && guard == nullptr) {
    void* const p = slow_allocate(size, kMinAlignment);
    return p != nullptr ? std::memset(p, 0, size) : nullptr;
  }
  if (size > PTRDIFF_MAX) return out_of_memory();
  if (t_thread.busy || !started()) return emergency(size, kMinAlignment);
  Busy const busy;
  return guard != nullptr ? guard->allocate(size, kMinAlignment, true) : allocate_span(size, kMinAlignment, true);
}

}  // namespace

void* allocate_zeroed(std::size_t size) noexcept {
  if (void* const p = pop(size); p != nullptr) [[likely]]
    return std::memset(p, 0, size);
  return allocate_zeroed_slowly(size);
}

void* reallocate(void* p, std::size_t size) noexcept {
  if (p == nullptr) return allocate(size);
  if (size == 0) {
    deallocate(p);
    return nullptr;
  }
  std::size_t const offset = g_arena.offset_of(p);
  if (!g_arena.contains(offset)) {
    refuse_reserved(p);
    return g_outside.reallocate(p, size);
  }
  Target const old = look_up(p, offset);
  if (old.is_span && !t_thread.busy) {
    Busy const busy;
    Outcome const resized = resize_span(p, size);
    if (resized == Outcome::done) return p;
    if (resized == Outcome::refused) return out_of_memory();
  } else if (!old.is_guarded && size <= old.bytes && size > old.bytes / 2) {
    return p;
  }
  void* const fresh = allocate(size);
  if (fresh == nullptr) return size <= old.bytes ? p : nullptr;  // a smaller block stays where it is if need be
  std::memcpy(fresh, p, min(size, old.bytes));
  deallocate(p);
  return fresh;
}

std::size_t usable_size(void* p) noexcept {
  if (p == nullptr) return 0;
  std::size_t const offset = g_arena.offset_of(p);
  if (!g_arena.contains(offset)) {
    refuse_reserved(p);
    return g_outside.usable_size(p);
  }
  std::size_t const bytes = look_up(p, offset).bytes;
  std::uint32_t const word = g_arena.owner_word(offset >> kSlotShift);
  if (!is_span(word)) {
    SizeClass const& c = g_classes.classes[list_in(word)];
    if (!is_block_at(within_slab(offset, c), *slab_at(offset >> kSlotShift, c), c)) report_bad_use(p);
  }
  return bytes;
}

}  // namespace stealth
