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
[[nodiscard]] Statistics gather_statistics(void (*each)(void*, ClassFacts const&), void* context,
                                           bool while_waiting = false) noexcept;

using StatisticsBuffer = FixedText<16384>;
// One buffer for the process, locked until it is released.
[[nodiscard]] StatisticsBuffer& statistics_buffer() noexcept;
void release_statistics_buffer() noexcept;
void reset_statistics_buffer() noexcept;  // in a forked child, whose holder is not there

void write_text(Text& out, bool while_waiting = false) noexcept;
// Who holds the memory, on stderr: what the policy `abort` says before it ends the process.
void say_who_holds() noexcept;
void write_json(Text& out) noexcept;
void write_xml(Text& out) noexcept;

}  // namespace stealth
