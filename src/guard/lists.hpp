// What each heap has of guarded memory that waits to be used again. Under the heap's lock, so that a fork finds it
// whole; but for `returned`.
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
  GuardedSlab* carving;
  List<GuardedSlab> partial;  // slabs with free blocks
  Info *oldest, *newest;      // in quarantine
  std::uint32_t quarantined;
};

struct Lists {
  BlockList blocks[kMostClasses];
  std::atomic<Info*> returned;  // blocks that other threads have freed
  List<Run> spans;              // in quarantine, the newest first
  std::uint64_t span_count, span_bytes;
  RecentTraces recent;  // its thread's alone
};

// Null: no memory for them. The caller is the heap's thread.
[[nodiscard]] Lists* lists_of(Heap& heap) noexcept;
// Of the calling thread's heap, if it has any.
[[nodiscard]] inline RecentTraces* recent_traces(Heap const* own) noexcept {
  return own != nullptr && own->guarded != nullptr ? &static_cast<Lists*>(own->guarded)->recent : nullptr;
}

}  // namespace stealth::guard
