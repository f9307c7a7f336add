// See pages.hpp.
#include "guard/pages.hpp"

#include "os/os.hpp"

namespace stealth::guard {

namespace {

// A process may have 65,530 mappings, and each range of ours makes two of one.
constexpr std::int64_t kMostClosed = 20'000;
constinit std::atomic<std::int64_t> g_closed{0};

}  // namespace

std::size_t guard_bytes() noexcept {
  static constinit std::atomic<std::size_t> known{0};
  std::size_t bytes = known.load(std::memory_order_relaxed);
  if (bytes == 0) known.store(bytes = max(kPage, os::page_size()), std::memory_order_relaxed);
  return bytes;
}

bool close_pages(char* at, std::size_t bytes) noexcept {
  if (g_closed.fetch_add(1, std::memory_order_relaxed) < kMostClosed && os::protect(at, bytes)) return true;
  g_closed.fetch_sub(1, std::memory_order_relaxed);
  return false;
}

bool open_pages(char* at, std::size_t bytes, int ranges) noexcept {
  if (!os::commit(at, bytes)) return false;
  g_closed.fetch_sub(ranges, std::memory_order_relaxed);
  return true;
}

}  // namespace stealth::guard
