// What is mapped into the process, as /proc/self/maps tells it: read without allocating.
#pragma once

#include <cstdint>
#include <string_view>

#include "base/text.hpp"

namespace stealth {

struct Mapping {
  std::uint64_t start, end, offset;  // of addresses; in the file
  bool readable, executable;
  std::string_view path;  // empty: no file, and no name
};

// Calls `each` for every mapping, in order of address, until it says false. Lines longer than 2 KiB are left out.
void for_each_mapping(void* context, bool (*each)(void* context, Mapping const& mapping) noexcept) noexcept;

// MODULE+0xOFFSET: where in its file an address lies; the address where it lies in none.
void write_place(Text& into, void const* address) noexcept;

}  // namespace stealth
