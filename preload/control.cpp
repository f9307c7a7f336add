// libstealth.so's control table, and the name under which libstealthpool finds it.
#include "pool/control.hpp"

namespace stealth {

Control const& control() noexcept { return g_own_control; }

}  // namespace stealth

// Of libstealth's own libraries only: not in the headers.
extern "C" __attribute__((visibility("default"))) void const* stealth_interposer_control(void) {
  return &stealth::g_own_control;
}
