// The keeper: a thread of ours that gives free memory back when the program does not come to us any more.
//
// Free memory is kept for a moment, since most programs want it back at once. Whoever frees looks after what has become
// old; but a program that falls silent, or whose calls all find what they want in their thread's lists, never comes
// here, and would keep all of it. So whoever frees, on the slow path, and sees kOccasion of free memory that the kernel
// has not got back makes the keeper, which looks after it every quarter of the purge delay, and ends when there has
// been nothing to do for a while. At most one exists; a program that never frees that much has none, unless there is an
// errand for it: then it stays.
//
// It is no pthread (os/task.hpp says why), allocates nothing, has all signals blocked and holds no lock for long. It
// sees that it never stands in the way of a program that changes who it is or what it may: such calls send it away
// first (preload/identity.cpp).
#pragma once

#include <atomic>
#include <cstdint>

#include "engine/heap.hpp"

namespace stealth {

enum class Keeper : std::uint8_t {
  forbidden,  // where nobody has permitted one, and once the program has locked itself in
  absent,
  present,
  parting,  // has found nothing to do and rests, for a last time or until its errand is due: is called back by
            // writing `present`
};
extern constinit std::atomic<Keeper> g_keeper;
inline constexpr std::size_t kOccasion = 4 * kMiB;

// Work of somebody else's, for a thread that is there whatever the program does (observe/control_page.cpp).
struct Errand {
  // Does what is due. Until when, in ns, it wants to do nothing more; 0: it has no use for a keeper. Without files of
  // its own (os::Task::take_own_files) the program may come to see what it opens.
  std::uint64_t (*run)(bool own_files) noexcept;
  // Rests at a place of its own, where others can wake the keeper, too; looks once more whether it `may` rest after it
  // has seen what it rests on. False: it has none, and nothing has happened.
  bool (*rest)(std::uint64_t ns, bool (*may)() noexcept) noexcept;
  void (*wake)() noexcept;  // who rests there
};
// Set once, at start.
extern constinit Errand const* g_errand;
// Bytes held from which the errand wants a keeper; kNeverWanted: not now.
inline constexpr std::uint64_t kNeverWanted = ~std::uint64_t{0};
extern constinit std::atomic<std::uint64_t> g_errand_from;

// A few loads on the slow path, one or two where it exists. Asked by a heap's thread.
[[nodiscard]] inline bool keeper_wanted(Heap const* heap) noexcept {
  Keeper const now = g_keeper.load(std::memory_order_relaxed);
  if (now != Keeper::absent && now != Keeper::parting) return false;
  if (now == Keeper::absent && g_budget.held() >= g_errand_from.load(std::memory_order_relaxed)) return true;
  if (g_arena.free_dirty_bytes() >= kOccasion) return true;
  auto const now_of = [](std::uint64_t const& bytes) { return __atomic_load_n(&bytes, __ATOMIC_RELAXED); };
  return heap != nullptr && now_of(heap->chained_bytes) >= now_of(heap->aged_bytes) + kOccasion;
}
// Called with no lock held.
void call_keeper() noexcept;

void keeper_fork_prepare() noexcept;
void keeper_fork_in_parent() noexcept;
void keeper_fork_in_child() noexcept;

}  // namespace stealth
