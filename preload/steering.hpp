// What the keeper does beside looking after memory: the control page of this process, with what it says and whom it
// asks where a wish stands on it (observe/control_page.hpp), and statistics at an interval.
#pragma once

namespace stealth {

// As STEALTH_CONTROL and STEALTH_STATS have it. Once the C library has come to life: a thread may be made here.
void begin_errands() noexcept;
void errands_fork_in_child() noexcept;

}  // namespace stealth
