// STEALTH_GUARD=sample: a few small allocations, drawn by bytes in windows (engine/sampling.hpp), get a page of their
// own between two inaccessible ones, as GWP-ASan does it. Each lies at its page's beginning or end, by chance, so that
// an access before or beyond it meets one of those; what it leaves of the page has canary bytes next to it. A freed
// one's page is inaccessible, and stays so as long as there is another one to be taken.
#pragma once

#include "guard/state.hpp"

namespace stealth::guard {

// Mean bytes from one to the next while they are drawn.
inline constexpr std::uint64_t kSampleInterval = 256 * kKiB;
// Pages for them, at most. What is known of them takes some 60 KiB more.
inline constexpr std::size_t kSampleBytes = 768 * kKiB;
inline constexpr std::uint32_t kMostSamples = kSampleBytes / kPage;

// Before the classes are published. `want_stacks` is called again and again, in the slow path, once the process has
// lived for a while.
void begin_samples(void (*want_stacks)() noexcept) noexcept;
// The one nearest to an address in guarded memory: for reports. False: there is none.
[[nodiscard]] bool find_sample(void const* address, char*& start, Record const*& record) noexcept;

}  // namespace stealth::guard
