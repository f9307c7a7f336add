// Turns the profile on and off: finds the unwinder first, which is a library of its own.
//
// Loading it takes the loader's lock, which a thread within malloc must not wait for: whoever holds it may want a lock
// that this thread has. So a thread of the C library's loads it: made at start, or, for a program that already runs, by
// the next of its threads that comes to the slow path where it might be held up.
#pragma once

#include <cstdint>

namespace stealth {

// STEALTH_PROFILE, now or later; 0: off. Any thread, the keeper, too. In force at once, or when the unwinder is there.
void profile_each(std::uint64_t interval) noexcept;
// For the guard's samples: when the next thread comes to the slow path where it might be held up.
void load_unwinder_soon() noexcept;
// Until the thread that loads it is about to end, but not for long.
void wait_for_unwinder() noexcept;
// At start, once the C library has come to life.
void load_unwinder_at_start() noexcept;
void unwinder_fork_in_child() noexcept;

}  // namespace stealth
