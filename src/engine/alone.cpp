// The outside of an engine that nobody preloads (unit tests, libstealthpool): there is nobody to pass on to.
#include "engine/slow.hpp"

namespace stealth {

namespace {

bool started_by_hand() noexcept { return false; }
void* nothing(std::size_t, std::size_t, bool) noexcept { return nullptr; }
void* no_emergency(std::size_t, std::size_t) noexcept { return nullptr; }
bool always() noexcept { return true; }
void only_null(void* p) noexcept {
  if (p != nullptr) report_bad_free(p);
}
void* foreign(void* p, std::size_t) noexcept { report_bad_free(p); }
std::size_t no_size(void*) noexcept { return 0; }

}  // namespace

constinit Outside const g_outside = {started_by_hand, nothing, only_null, foreign, no_size, no_emergency, always};

}  // namespace stealth
