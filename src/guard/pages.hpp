// Inaccessible pages, and what else guarded memory of both kinds is made with.
#pragma once

#include <cstddef>
#include <cstdint>

#include "engine/heap.hpp"

namespace stealth::guard {

// The least that can be made inaccessible: the system's page.
[[nodiscard]] std::size_t guard_bytes() noexcept;
// False: the kernel refuses, or there are so many of ours already that the program would find no room for its mappings.
[[nodiscard]] bool close_pages(char* at, std::size_t bytes) noexcept;
// Undoes so many of those, all within these bytes.
[[nodiscard]] bool open_pages(char* at, std::size_t bytes, int ranges) noexcept;

// Bytes with the program more, or less, by the thread's own heap; null: it has none.
inline void count_guarded(Heap* own, std::int64_t bytes) noexcept {
  if (own == nullptr) {
    g_shared_heap.guarded_bytes.fetch_add(bytes, std::memory_order_relaxed);
  } else {
    std::int64_t const now = own->guarded_bytes.load(std::memory_order_relaxed);
    own->guarded_bytes.store(now + bytes, std::memory_order_relaxed);
  }
}

}  // namespace stealth::guard
