// The grammar of STEALTH_CLASSES: `all`, `none`, or a comma list of items `SIZE` or `LO-HI`, each with `:max=N` and
// `:prealloc=N`, as in 16-1024,4k:max=10000:prealloc=100,64k,1m:max=64. Knows nothing of the engine's ladder but that
// every block size is a multiple of 16.
#pragma once

#include <cstdint>
#include <string_view>

#include "config/config.hpp"
#include "config/fault.hpp"

namespace stealth::config {

class Line;

inline constexpr std::uint64_t largest_class = gib;
inline constexpr std::uint64_t most_blocks = std::uint64_t{1} << 40U;  // of one class; more than any machine holds

// Fault::item is the item, or the part of it, that is refused; `out` then stays as it was.
Fault parse_classes(std::string_view text, Classes& out) noexcept;

void print_classes(Classes const& classes, Line& line) noexcept;

}  // namespace stealth::config
