// See no_waits.cpp.
#pragma once

namespace stealth {

// Looks up what the interposed names pass on to.
void find_waitless_places() noexcept;

}  // namespace stealth
