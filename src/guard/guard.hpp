// STEALTH_GUARD=full: every allocation is surrounded by what must not change, every freed one by what must stay as it
// is, and each fault that shows is named in one line with the stacks that belong to it; then the process aborts. And
// STEALTH_GUARD=sample: the same for a few.
#pragma once

#include <cstdint>

namespace stealth::guard {

// Once, before the first block is handed out and when the classes are known. `seed`: random bits. From then on.
void begin_full(std::uint64_t seed) noexcept;
// Instead of begin_full(): see samples.hpp. `want_stacks` is called when libunwind is wanted.
void begin_sample(std::uint64_t seed, void (*want_stacks)() noexcept) noexcept;
// What comes by one of new, new[] and malloc may leave by another's counterpart, from now on.
void mix_doors() noexcept;
// Looks at everything that was allocated or is in quarantine; dies at the first damage. Others may be at work.
void check_everything() noexcept;
// An access to this address has faulted: says what it was, if it was in guarded memory. Never ends the process.
void explain_access(void const* address) noexcept;

}  // namespace stealth::guard
