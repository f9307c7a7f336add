// Fault detection, as the engine knows it: while it is on, src/guard serves what the engine would, or a few samples of
// it (sampling.hpp), from memory of the same range whose map words say so. The hot path does not know of it: in the
// first case no list ever holds a block, and no heap has such words.
#pragma once

#include <atomic>
#include <cstddef>
#include <cstdint>

#include "engine/slab.hpp"

namespace stealth {

// By which of C++'s doors memory comes and goes; malloc's family and its free are one. `any`: it goes, and nobody knows
// any more by which.
enum class Door : std::uint8_t { malloc, new_object, new_array, any };

// What a caller says of memory that it gives back; a size of kUnknown, or an alignment of 0, says nothing.
struct Farewell {
  static constexpr std::size_t kUnknown = ~std::size_t{0};
  Door door = Door::malloc;
  std::size_t size = kUnknown;
  std::size_t alignment = 0;
};

// A guarded pointer is one whose slot's word is guarded (is_guarded()). Whatever is wrong with one is reported, and
// ends the process. Callers are in the slow path and, but for release(), hold no lock.
struct Guard {
  void (*deallocate)(void* p, std::uint32_t word) noexcept;
  // What was asked for.
  std::size_t (*size_of)(void* p) noexcept;

  // --- of one that serves everything; all null in one that only has samples ---
  // Null, and errno: none to be had.
  void* (*allocate)(std::size_t size, std::size_t alignment, bool zeroed) noexcept = nullptr;
  // That it came by another door than malloc's.
  void (*came_by)(void* p, Door door) noexcept = nullptr;
  // A free of which that is said; p is any pointer, or null. False: nothing has happened, for it is not guarded.
  bool (*deallocate_as)(void* p, Farewell const& farewell) noexcept = nullptr;
  // A pointer that leads to no allocation is being freed: to be reported if it lies in guarded memory.
  void (*inside)(void* p) noexcept = nullptr;
  // A pointer that is not ours is being freed: to be reported if it cannot be anybody's.
  void (*foreign)(void* p) noexcept = nullptr;
  // As allocate(), where that is quick; null: it is not. Then what else the slow path has to do comes first.
  void* (*allocate_quickly)(std::size_t size, std::size_t alignment) noexcept = nullptr;
  // By Heap::release_unused(), with the heap's lock held: what the heap keeps for nobody goes back to the arena; with
  // `all`, for who is alone with them, what is in its lists, too.
  void (*release)(Heap& heap, bool all) noexcept = nullptr;
};

extern constinit std::atomic<Guard const*> g_guard;  // set once, before the first block is handed out
[[nodiscard]] inline Guard const* active_guard() noexcept { return g_guard.load(std::memory_order_acquire); }
// That one, if it serves everything.
[[nodiscard]] inline Guard const* serving_guard() noexcept {
  Guard const* const guard = active_guard();
  return guard != nullptr && guard->allocate != nullptr ? guard : nullptr;
}

// Words of guarded slots, beyond those of lists. A span's begins in its first slot, or with its guard page in the one
// before.
inline constexpr std::uint32_t kGuardedBlock = kSpanWord - 1;
inline constexpr std::uint32_t kGuardedSpan = kSpanWord - 2;
static_assert(kLists << kBinShift <= kGuardedSpan);
// Whether a word says so.
[[nodiscard]] inline bool is_guarded(std::uint32_t word) { return word == kGuardedBlock || word == kGuardedSpan; }

// A free of which something is said, where the lists do not take it.
void slow_deallocate_as(void* p, Door door, std::size_t size = Farewell::kUnknown, std::size_t alignment = 0) noexcept;

}  // namespace stealth
