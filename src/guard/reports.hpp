// One line for each kind of fault, the same words wherever it is found; then who allocated and who freed the memory.
#pragma once

#include "guard/state.hpp"

namespace stealth::guard {

// `p` is what the program gave; `start` is where the allocation begins that it is about.
[[noreturn]] void report_double_free(void const* p, Record const& record) noexcept;
// Of a pointer into an allocation, not to its start; of one where none has been yet.
[[noreturn]] void report_inside(void const* p, char const* start, Record const& record) noexcept;
[[noreturn]] void report_never_given(void const* p, std::uint32_t block) noexcept;
// A freed allocation is used: asked for its size, resized.
[[noreturn]] void report_use(void const* p, Record const& record) noexcept;
// Of a block that is free, or that nobody has had yet.
[[noreturn]] void report_write_after_free(char const* start, char const* damage, Record const& record) noexcept;
// Bytes around an allocation are not as they were. `before`: those in front of it, which also end the one before, if
// there is one.
[[noreturn]] void report_overflow(char const* start, char const* damage, Record const& record) noexcept;
[[noreturn]] void report_underflow(char const* start, char const* damage, Record const& record,
                                   char const* start_before, Record const* before) noexcept;
[[noreturn]] void report_wrong_door(void const* p, Door by, Record const& record) noexcept;
[[noreturn]] void report_wrong_size(void const* p, std::size_t said, Record const& record) noexcept;
[[noreturn]] void report_wrong_alignment(void const* p, std::size_t said, Record const& record) noexcept;
[[noreturn]] void report_foreign(void const* p, char const* where) noexcept;

// An access that faulted: does not end the process, since the program's own handler may be next.
void say_access(void const* address, char const* start, Record const& record, Trace touched_by) noexcept;

}  // namespace stealth::guard
