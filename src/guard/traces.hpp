// Where something was done: the innermost frames of the calling thread's stack, kept once for all who have the same,
// under a number.
//
// To walk a stack takes a microsecond, and every call of a guarded program wants one. But where a thread stands as deep
// in its stack as before, its frames mostly have the same sizes, so that their return addresses stand where others
// stood then: that is a shape. And if the return addresses that stand there now have stood there before, all of them
// together, it is the same stack: each one says whose frame it is, and so how far the next one is. So each thread
// remembers the shapes of its last stacks, by where they ended; a load and a multiplication for each frame make one
// number of what stands there, and by that number the stack is found. If it is not, the stack is walked.
#pragma once

#include <cstdint>

#include "base/text.hpp"

namespace stealth::guard {

using Trace = std::uint32_t;
inline constexpr Trace kNoTrace = 0;  // nobody tells stacks, or there is no room for another

// Of a stack so many of the program's frames are told, at first. Where a program has very many stacks (a recursion has
// one for each leaf), fewer are told of those that come later.
inline constexpr std::uint32_t kToldFrames = 12;

// A thread's alone.
struct RecentTraces {
  static constexpr std::uint32_t kSets = 128, kWays = 4, kFound = 2048;
  // Whereby a stack is told from others: its frames and where they stand.
  struct Shape {
    std::uint64_t key;   // of where it ended
    std::uint64_t seed;  // of `up`
    std::uint32_t depth;
    std::uint32_t up[kToldFrames + 1];  // from where the stack ended to where the return address stands
  };
  struct Found {
    std::uint64_t stack;
    Trace trace;
  };
  void const* thread;  // whose they are: others have other stacks
  // Of its own stack: where its frames end may be another one's, of a coroutine, which ends where this one's did not.
  std::uintptr_t stack, stack_bytes;
  std::uint32_t told;  // frames, of these shapes
  Shape shapes[kSets][kWays];
  Found found[kFound];
};

// Once, before the first; false: no memory, and there will be none.
bool map_traces() noexcept;
// Of the calling thread, which is in the slow path and holds no lock. `recent` is its own; null: takes its time, and
// goes on where no frame's size is known.
[[nodiscard]] Trace trace_here(RecentTraces* recent) noexcept;
// The same for a few that take turns: into one of so many places, instead of what it held.
inline constexpr std::uint32_t kTracePlaces = 384;
[[nodiscard]] Trace trace_here_into(std::uint32_t place) noexcept;
// `stealth:   WHAT PLACE PLACE ...`, a line; nothing where there is no stack.
void write_trace(Text& into, char const* what, Trace trace) noexcept;

}  // namespace stealth::guard
