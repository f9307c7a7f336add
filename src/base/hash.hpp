// FNV-1a (Fowler, Noll, Vo): short, and good enough for tables that nobody attacks.
#pragma once

#include <cstdint>

namespace stealth {

// Of the elements of a range, each converted by `to_number`.
template <class Range, class ToNumber>
[[nodiscard]] std::uint64_t hash_of(Range const& range, ToNumber to_number) noexcept {
  std::uint64_t hash = 0xCBF29CE484222325u;
  for (auto const& element : range) hash = (hash ^ to_number(element)) * 0x100000001B3u;
  return hash;
}

}  // namespace stealth
