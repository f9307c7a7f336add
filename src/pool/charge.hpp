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

}  // namespace stealth::memory
