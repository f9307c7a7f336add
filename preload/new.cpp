// All operators new and delete. A failure goes on to the C++ runtime's own operator, which finds no memory either, asks
// the new-handler until that gives up, and throws: so libstealth needs no C++ runtime, and programs without one load
// none.
#include <cstdint>
#include <cstring>
#include <new>

#include "base/report.hpp"
#include "engine/hot.hpp"
#include "engine/outside.hpp"
#include "next.hpp"

#define STEALTH_EXPORT __attribute__((visibility("default")))

namespace {

template <class... Arguments>
[[gnu::cold, gnu::noinline]] void* ask_runtime(char const* name, std::size_t size, Arguments... arguments) {
  void* const found = stealth::next::find(name);
  if (found == nullptr)
    stealth::die("operator new: out of memory, and the program has no C++ runtime that could say so");
  void* (*function)(std::size_t, Arguments...) = nullptr;
  static_assert(sizeof function == sizeof found);
  std::memcpy(&function, &found, sizeof found);
  // The runtime rounds a size up to its alignment, and a larger one would come out as 0.
  return function(stealth::min(size, std::size_t{PTRDIFF_MAX}), arguments...);
}

void* aligned(std::size_t size, std::align_val_t alignment) noexcept {
  return stealth::allocate_aligned(size, static_cast<std::size_t>(alignment));
}

}  // namespace

#define STEALTH_OR(p, ...)         \
  void* const block = p;           \
  if (block != nullptr) [[likely]] \
    return block;                  \
  return ask_runtime(__VA_ARGS__)

STEALTH_EXPORT void* operator new(std::size_t n) { STEALTH_OR(stealth::allocate(n), "_Znwm", n); }
STEALTH_EXPORT void* operator new[](std::size_t n) { STEALTH_OR(stealth::allocate(n), "_Znam", n); }
STEALTH_EXPORT void* operator new(std::size_t n, std::nothrow_t const& t) noexcept {
  STEALTH_OR(stealth::allocate(n), "_ZnwmRKSt9nothrow_t", n, &t);
}
STEALTH_EXPORT void* operator new[](std::size_t n, std::nothrow_t const& t) noexcept {
  STEALTH_OR(stealth::allocate(n), "_ZnamRKSt9nothrow_t", n, &t);
}
STEALTH_EXPORT void* operator new(std::size_t n, std::align_val_t a) {
  STEALTH_OR(aligned(n, a), "_ZnwmSt11align_val_t", n, a);
}
STEALTH_EXPORT void* operator new[](std::size_t n, std::align_val_t a) {
  STEALTH_OR(aligned(n, a), "_ZnamSt11align_val_t", n, a);
}
STEALTH_EXPORT void* operator new(std::size_t n, std::align_val_t a, std::nothrow_t const& t) noexcept {
  STEALTH_OR(aligned(n, a), "_ZnwmSt11align_val_tRKSt9nothrow_t", n, a, &t);
}
STEALTH_EXPORT void* operator new[](std::size_t n, std::align_val_t a, std::nothrow_t const& t) noexcept {
  STEALTH_OR(aligned(n, a), "_ZnamSt11align_val_tRKSt9nothrow_t", n, a, &t);
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
