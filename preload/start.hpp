// Start-up: environment -> settings -> engine, at the first allocation that can see the environment.
#pragma once

#include "config/config.hpp"

namespace stealth {

// True once the engine serves. Safe to call at any time, from any thread, and from within itself.
bool start() noexcept;
[[nodiscard]] config::Config const& settings() noexcept;
// The process whose memory this is: not so in a vfork child.
[[nodiscard]] int owning_process() noexcept;
// As it was at start: programs that set their own title write over the memory where it stood.
[[nodiscard]] char const* program_name() noexcept;

}  // namespace stealth
