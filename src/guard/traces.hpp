// Where something was done: the calling thread's stack, kept once for all who have the same, under a number.
//
// To walk a stack takes a microsecond, and every call of a guarded program wants one. But where a thread stands as deep
// in its stack as before, it has mostly come the same way; and a way that leads over known frames is told by its return
// addresses and where they stand. So each thread remembers some of its last stacks by where they ended, and looks
// whether all return addresses still stand where they stood: a load and a compare for each. If so, it is the same
// stack; if not, the stack is walked.
#pragma once

#include <cstdint>

#include "base/text.hpp"

namespace stealth::guard {

using Trace = std::uint32_t;
inline constexpr Trace kNoTrace = 0;  // nobody tells stacks, or there is no room for another

// A thread's last stacks, by where they ended.
struct RecentTraces {
  static constexpr std::uint32_t kSets = 256, kWays = 4;
  Trace sets[kSets][kWays];
};

// Once, before the first; false: no memory, and there will be none.
bool map_traces() noexcept;
// Of the calling thread, which is in the slow path and holds no lock. `recent` is its own, or null.
[[nodiscard]] Trace trace_here(RecentTraces* recent) noexcept;
// `stealth:   WHAT PLACE PLACE ...`, a line; nothing where there is no stack.
void write_trace(Text& into, char const* what, Trace trace) noexcept;

}  // namespace stealth::guard
