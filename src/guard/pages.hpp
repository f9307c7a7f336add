// Inaccessible pages, and what else guarded memory of both kinds is made with.
#pragma once

#include <cstddef>
#include <cstdint>
#include <cstring>

#include "engine/heap.hpp"

namespace stealth::guard {

// The least that can be made inaccessible: the system's page.
[[nodiscard]] std::size_t guard_bytes() noexcept;
// False: the kernel refuses, or there are so many of ours already that the program would find no room for its mappings.
[[nodiscard]] bool close_pages(char* at, std::size_t bytes) noexcept;
// Undoes so many of those, all within these bytes.
[[nodiscard]] bool open_pages(char* at, std::size_t bytes, int ranges) noexcept;

// What is in memory that nobody has written: no pointer, no small number, and not zero.
inline constexpr unsigned char kUninitialised = 0xA5;
inline void fill_uninitialised(char* at, std::size_t bytes) noexcept { std::memset(at, kUninitialised, bytes); }

// Bytes with the program, by whichever heap is at hand.
void count_guarded(Heap& heap, std::int64_t bytes) noexcept;

}  // namespace stealth::guard
