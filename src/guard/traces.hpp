// Where something was done: the calling thread's stack, kept once for all who have the same, under a number.
#pragma once

#include <cstdint>

#include "base/text.hpp"

namespace stealth::guard {

using Trace = std::uint32_t;
inline constexpr Trace kNoTrace = 0;  // nobody tells stacks, or there is no room for another

// Once, before the first; false: no memory, and there will be none.
bool map_traces() noexcept;
// Of the calling thread, which is in the slow path and holds no lock.
[[nodiscard]] Trace trace_here() noexcept;
// The same for a few that take turns: into one of so many places, instead of what it held.
inline constexpr std::uint32_t kTracePlaces = 384;
[[nodiscard]] Trace trace_here_into(std::uint32_t place) noexcept;
// `stealth:   WHAT PLACE PLACE ...`, a line; nothing where there is no stack.
void write_trace(Text& into, char const* what, Trace trace) noexcept;

}  // namespace stealth::guard
