// See charge.hpp.
#include "pool/charge.hpp"

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

}  // namespace

bool charge(std::size_t bytes, Waiting how) noexcept {
  return bytes == 0 || counting().charge(bytes, static_cast<std::uint32_t>(how)) == STEALTH_OK;
}

void release(std::size_t bytes) noexcept {
  if (bytes != 0) counting().release(bytes);
}

}  // namespace stealth::memory
