// All operators new and delete. A failure goes on to the C++ runtime's own operator, which finds no memory either, asks
// the new-handler until that gives up, and throws: so libstealth needs no C++ runtime, and programs without one load
// none.
#include <cstdint>
#include <cstring>
#include <new>
#include <type_traits>

#include "base/report.hpp"
#include "engine/hot.hpp"
#include "engine/outside.hpp"
#include "next.hpp"

#define STEALTH_EXPORT __attribute__((visibility("default")))

namespace {

// What the operator new of this name does in the C++ runtime when memory is short.
template <class... Rest>
void* ask_runtime(char const* name, std::size_t size, Rest... rest) {
  void* const found = stealth::next::find(name);
  if (found == nullptr) {
    if constexpr ((std::is_same_v<Rest, std::nothrow_t const*> || ...)) return nullptr;
    stealth::die("operator new: out of memory, and the program has no C++ runtime that could say so");
  }
  void* (*function)(std::size_t, Rest...) = nullptr;
  static_assert(sizeof function == sizeof found);
  std::memcpy(&function, &found, sizeof found);
  // The runtime rounds a size up to its alignment, and a larger one would come out as 0.
  return function(stealth::min(size, std::size_t{PTRDIFF_MAX}), rest...);
}

template <class... Rest>
[[gnu::noinline]] void* slow_new(char const* name, std::size_t size, Rest... rest) {
  void* const block = stealth::slow_allocate(size, stealth::kMinAlignment);
  return block != nullptr ? block : ask_runtime(name, size, rest...);
}

template <class... Rest>
void* aligned_new(char const* name, std::size_t size, std::align_val_t alignment, Rest... rest) {
  void* const block = stealth::allocate_aligned(size, static_cast<std::size_t>(alignment));
  return block != nullptr ? block : ask_runtime(name, size, alignment, rest...);
}

}  // namespace

#define STEALTH_NEW(...)                                                   \
  if (void* const block = stealth::pop(n); block != nullptr) return block; \
  return slow_new(__VA_ARGS__)

STEALTH_EXPORT void* operator new(std::size_t n) { STEALTH_NEW("_Znwm", n); }
STEALTH_EXPORT void* operator new[](std::size_t n) { STEALTH_NEW("_Znam", n); }
STEALTH_EXPORT void* operator new(std::size_t n, std::nothrow_t const& t) noexcept {
  STEALTH_NEW("_ZnwmRKSt9nothrow_t", n, &t);
}
STEALTH_EXPORT void* operator new[](std::size_t n, std::nothrow_t const& t) noexcept {
  STEALTH_NEW("_ZnamRKSt9nothrow_t", n, &t);
}
STEALTH_EXPORT void* operator new(std::size_t n, std::align_val_t a) {
  return aligned_new("_ZnwmSt11align_val_t", n, a);
}
STEALTH_EXPORT void* operator new[](std::size_t n, std::align_val_t a) {
  return aligned_new("_ZnamSt11align_val_t", n, a);
}
STEALTH_EXPORT void* operator new(std::size_t n, std::align_val_t a, std::nothrow_t const& t) noexcept {
  return aligned_new("_ZnwmSt11align_val_tRKSt9nothrow_t", n, a, &t);
}
STEALTH_EXPORT void* operator new[](std::size_t n, std::align_val_t a, std::nothrow_t const& t) noexcept {
  return aligned_new("_ZnamSt11align_val_tRKSt9nothrow_t", n, a, &t);
}

STEALTH_EXPORT void operator delete(void* p) noexcept { stealth::deallocate(p); }
STEALTH_EXPORT void operator delete[](void* p) noexcept { stealth::deallocate(p); }
STEALTH_EXPORT void operator delete(void* p, std::size_t) noexcept { stealth::deallocate(p); }
STEALTH_EXPORT void operator delete[](void* p, std::size_t) noexcept { stealth::deallocate(p); }
STEALTH_EXPORT void operator delete(void* p, std::nothrow_t const&) noexcept { stealth::deallocate(p); }
STEALTH_EXPORT void operator delete[](void* p, std::nothrow_t const&) noexcept { stealth::deallocate(p); }
STEALTH_EXPORT void operator delete(void* p, std::align_val_t) noexcept { stealth::deallocate(p); }
STEALTH_EXPORT void operator delete[](void* p, std::align_val_t) noexcept { stealth::deallocate(p); }
STEALTH_EXPORT void operator delete(void* p, std::size_t, std::align_val_t) noexcept { stealth::deallocate(p); }
STEALTH_EXPORT void operator delete[](void* p, std::size_t, std::align_val_t) noexcept { stealth::deallocate(p); }
STEALTH_EXPORT void operator delete(void* p, std::align_val_t, std::nothrow_t const&) noexcept {
  stealth::deallocate(p);
}
STEALTH_EXPORT void operator delete[](void* p, std::align_val_t, std::nothrow_t const&) noexcept {
  stealth::deallocate(p);
}
