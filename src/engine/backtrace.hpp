// The calling thread's stack, for whoever remembers where something was done (profiles, fault detection). How a stack
// is told is the business of who is given to tell_stacks_by(): an unwinder is large, and most programs need none
// (preload/unwinder.cpp).
#pragma once

#include <cstdint>

namespace stealth {

inline constexpr std::uint32_t kMostFrames = 64;

// Return addresses of the calling thread, innermost first; how many. Any thread, in the slow path.
using Unwind = int(void** into, int most) noexcept;

// Where libstealth's own code lies: its frames are left out at the inner end of a stack.
struct Own {
  void const *begin, *end;
};

// The stack from the return address that stands at `place` on, which is the calling thread's, as far as it can be told
// without anybody's lock, and where each address stands; negative: so many, and the next one is not known yet.
using UnwindKnown = int(void const* place, void** into, void const** places, int most) noexcept;

void tell_stacks_by(Unwind* unwind, Own own, UnwindKnown* known = nullptr) noexcept;

// Return addresses of the calling thread into `frames`, at most `most` (up to kMostFrames); how many. None where there
// is nobody to tell them, or where the loader's lock may be held by this thread. The caller is in the slow path and
// holds no lock.
[[nodiscard]] std::uint32_t backtrace(void** frames, std::uint32_t most) noexcept;

[[nodiscard]] bool stacks_are_told() noexcept;
// By UnwindKnown, libstealth's own frames included.
[[nodiscard]] int backtrace_known(void const* place, void** frames, void const** places, std::uint32_t most) noexcept;
[[nodiscard]] bool is_own_code(void const* frame) noexcept;

// For the engine's own fork handlers; the child's also where the fork came out of a handler that interrupted this.
void backtrace_fork_prepare() noexcept;
void backtrace_fork_in_parent() noexcept;
void backtrace_fork_in_child() noexcept;

}  // namespace stealth
