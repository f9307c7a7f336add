// See charge.hpp.
#include "pool/charge.hpp"

#include <atomic>
#include <cstddef>

#include "pool/control.hpp"

namespace stealth::memory {

namespace {

// An older libstealth.so has no such entries. Then pools count by themselves.
Control const& counting() noexcept {
  Control const& found = control();
  constexpr std::size_t kNeeded = offsetof(Control, release) + sizeof(Control::release);
  return found.size >= kNeeded ? found : g_own_control;
}

// Charged by this library; the budget may be that of several. Counted beside it, so a fork between the one and the
// other leaves a child off by that one charge.
constinit std::atomic<std::size_t> g_charged{0};

}  // namespace

bool charge(std::size_t bytes, Waiting how) noexcept {
  if (bytes == 0) return true;
  if (counting().charge(bytes, static_cast<std::uint32_t>(how)) != STEALTH_OK) return false;
  g_charged.fetch_add(bytes, std::memory_order_relaxed);
  return true;
}

void release(std::size_t bytes) noexcept {
  if (bytes == 0) return;
  g_charged.fetch_sub(bytes, std::memory_order_relaxed);
  counting().release(bytes);
}

void fork_in_child(std::size_t held) noexcept {
  std::size_t const charged = g_charged.load(std::memory_order_relaxed);
  if (charged > held) release(charged - held);
  if (charged < held) static_cast<void>(charge(held - charged, Waiting::never));
}

}  // namespace stealth::memory
