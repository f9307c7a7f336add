// The heap profile: which calls hold the sampled live memory, and where threads have waited (engine/sampling.hpp says
// how samples come about). Everything lies in memory of its own, mapped when the first profile begins; nothing is
// allocated, so that samples can be taken inside of malloc, and a dump be written by the keeper while every thread of
// the program waits.
//
// Stacks are told by whoever is given to begin(): an unwinder is large, and not needed by programs that are not
// profiled (preload/unwinder.cpp). Each different stack has one entry for good; when there is no room for another, its
// samples are counted for an entry without a stack, so that sums stay right.
#pragma once

#include <cstddef>
#include <cstdint>

#include "base/text.hpp"

namespace stealth::observe::profile {

// False: no memory for it. From then on about one sample for each `interval` bytes. Also changes the interval.
[[nodiscard]] bool begin(std::uint64_t interval) noexcept;
// No new samples; those of live memory stay until it is freed.
void end() noexcept;
[[nodiscard]] std::uint64_t interval() noexcept;  // 0: off
[[nodiscard]] std::uint64_t live_samples() noexcept;

enum class What : std::uint8_t { heap, stalls };
// Writes a dump as text that google-pprof reads (heap_v2, or a contention profile), with the mappings and their
// build-ids, into a new file that only this user may read. Any thread. 0 or an errno number.
[[nodiscard]] int dump(What what, char const* path) noexcept;
// Only where there is no such file.
[[nodiscard]] int dump_into_new(What what, char const* path) noexcept;
// The stacks that hold most, a line each, for a last report.
void write_top(Text& into, std::uint32_t most) noexcept;

// After the engine's prepare, and before its other two.
void fork_prepare() noexcept;
void fork_in_parent() noexcept;
void fork_in_child() noexcept;

}  // namespace stealth::observe::profile
