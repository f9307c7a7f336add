// What each heap has of guarded memory that waits to be used again. What lies in slabs is under the heap's lock. The
// thread takes and gives the rest without: a fork that comes in between leaves the child with a block less, which its
// lists no longer know of, and no more, as every list is written so that it is one whatever has come of the last call.
#pragma once

#include "engine/heap.hpp"
#include "guard/state.hpp"

namespace stealth::guard {

struct Info;
struct GuardedSlab;

// Classes of blocks: the ladder's steps up to the one that holds the largest request and its canary, and one for
// requests of nothing.
inline constexpr std::uint32_t kMostClasses = 48;

struct BlockList {
  Info *oldest, *newest;      // in quarantine
  std::uint32_t quarantined;  // == length of that list, but where a fork came in between: one more or less
  Info* ready;                // to be handed out: free ones, checked then, and such as nobody has had
  GuardedSlab* carving;
  List<GuardedSlab> partial;   // slabs with free blocks; those with no block away last
  std::uint32_t slabs, empty;  // all; and those of them with no block away, but for `carving`
};

struct Lists {
  BlockList blocks[kMostClasses];
  std::atomic<Info*> returned;  // blocks that other threads have freed
  Info* last;                   // that was handed out, and where its block begins
  void const* last_start;
  List<Run> spans;  // in quarantine, the newest first
  std::uint64_t span_count, span_bytes;
  RecentTraces recent;
};

// Null: no memory for them. The caller is the heap's thread.
[[nodiscard]] Lists* make_lists(Heap& heap) noexcept;
[[nodiscard]] inline Lists* lists_of(Heap& heap) noexcept {
  return heap.guarded != nullptr ? static_cast<Lists*>(heap.guarded) : make_lists(heap);
}
// Of the calling thread's heap, if it has any.
[[nodiscard]] inline RecentTraces* recent_traces(Heap* own) noexcept {
  Lists* const lists = own != nullptr ? lists_of(*own) : nullptr;
  return lists != nullptr ? &lists->recent : nullptr;
}

}  // namespace stealth::guard
