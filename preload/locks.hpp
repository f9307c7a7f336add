// See locks.cpp.
#pragma once

namespace stealth {

// Looks up what the interposed names pass on to: not when they are first called, since the loader's lock may be held by
// a thread that wants a lock which the caller has.
void find_locks() noexcept;

}  // namespace stealth
