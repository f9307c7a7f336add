// The statistics that a process leaves behind (STEALTH_STATS) and answers with (malloc_stats, malloc_info, mallinfo).
#pragma once

#include "base/text.hpp"
#include "capacity/budget.hpp"
#include "engine/outside.hpp"
#include "next.hpp"
#include "os/os.hpp"

namespace stealth {

struct Statistics {
  EngineFacts engine;
  StallFacts stalls;
  next::Facts passed_on;
  std::uint64_t free_dirty;
};
// By whom: a thread of the program's, one that is in the slow path (a last report), the keeper.
enum class Gatherer : std::uint8_t { thread, waiting, keeper };
[[nodiscard]] Statistics gather_statistics(void (*each)(void*, ClassFacts const&), void* context,
                                           Gatherer by = Gatherer::thread) noexcept;

using StatisticsBuffer = FixedText<16384>;
// One buffer for the process, locked until it is released.
[[nodiscard]] StatisticsBuffer& statistics_buffer() noexcept;
void release_statistics_buffer() noexcept;
void reset_statistics_buffer() noexcept;  // in a forked child, whose holder is not there

void write_text(Text& out, Gatherer by = Gatherer::thread) noexcept;
// Who holds the memory, on stderr: what the policy `abort` says before it ends the process.
void say_who_holds() noexcept;
void write_json(Text& out, Gatherer by = Gatherer::thread) noexcept;
void write_xml(Text& out) noexcept;

// What STEALTH_STATS wants at an interval, if it is due; by the keeper. In how many ns it is due next; 0: never.
[[nodiscard]] std::uint64_t write_statistics_when_due(bool own_files) noexcept;

}  // namespace stealth
