// The control page of this process: what it says, and whom it asks, where a wish stands on it
// (observe/control_page.hpp).
#pragma once

namespace stealth {

// As STEALTH_CONTROL has it. Once the C library has come to life: with `on` a thread is made here.
void show_and_obey() noexcept;

}  // namespace stealth
