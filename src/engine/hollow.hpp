// What the checkers ask of hollow slabs; the rest are members of Heap. See hollow.cpp.
#pragma once

#include "engine/heap.hpp"

namespace stealth {

[[nodiscard]] bool is_hollow(Slab const& slab, SizeClass const& c, std::uint32_t block) noexcept;
// By looking at every block.
[[nodiscard]] std::uint32_t count_hollow(Slab const& slab) noexcept;

}  // namespace stealth
