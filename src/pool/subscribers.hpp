// Who is called back when memory is short, and the helper thread that calls them: made for the first subscription, gone
// with the last one. Nobody is ever called from inside malloc.
#pragma once

#include <cstdint>

#include "stealth/stealth.h"

namespace stealth::subscribers {

// As stealth_on_pressure() and stealth_pressure_end() in stealth.h.
[[nodiscard]] stealth_error add(stealth_pressure_callback* callback, void* context, std::uint64_t& handle) noexcept;
[[nodiscard]] stealth_error end(std::uint64_t handle) noexcept;

// There are no subscriptions and no helper; handles from before the fork are invalid.
void after_fork_in_child() noexcept;

}  // namespace stealth::subscribers
