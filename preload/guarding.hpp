// Fault detection's ties to the process: what turns it on, the program's end, and faulting accesses.
//
// Our handler of SIGSEGV says what was touched, where that was in guarded memory, and goes on to the program's own.
// That one is kept here: a program that asks for, or sets, what is done on SIGSEGV is answered from here.
#pragma once

namespace stealth {

// By STEALTH_GUARD; before the first block is handed out, and when the classes are known.
void begin_guarding() noexcept;
// At start, once the C library has come to life.
void watch_faults() noexcept;
// At the program's end, after its own exit handlers.
void check_at_the_end() noexcept;

}  // namespace stealth
