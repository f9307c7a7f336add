// Where the memory of explicit pools and buffers is charged: to the interposer's budget where libstealth.so serves the
// process, else to the one that this library brings. The one place for it.
#pragma once

#include <cstddef>

#include "engine/outside.hpp"

namespace stealth::memory {

// False: refused, and nothing is charged. The caller holds no lock: it may wait at the capacity (Waiting::as_malloc).
[[nodiscard]] bool charge(std::size_t bytes, Waiting how) noexcept;
// Of bytes that were charged and have gone back to the kernel.
void release(std::size_t bytes) noexcept;

// fork, in the child, after the engine's handlers: this library's pools and buffers hold so much. It differs from what
// was charged by what other threads of the parent had just charged, or released, and not yet put down.
void fork_in_child(std::size_t held) noexcept;

}  // namespace stealth::memory
