// The process's figures, gathered for the control page. Counts nothing itself.
#pragma once

#include "observe/control_page.hpp"
#include "observe/page.hpp"

namespace stealth::observe {

// Fills in all but the number, the time and the interval. By the keeper.
void take_snapshot(Snapshot& snapshot, Surroundings const& surroundings) noexcept;

}  // namespace stealth::observe
