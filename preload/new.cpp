// All operators new and delete. A failure goes on to the C++ runtime's own operator, which finds no memory either, asks
// the new-handler until that gives up, and throws: so libstealth needs no C++ runtime, and programs without one load
// none.
#include <cstdint>
#include <cstring>
#include <new>
#include <type_traits>

#include "base/report.hpp"
#include "engine/guarding.hpp"
#include "engine/hot.hpp"
#include "engine/outside.hpp"
#include "next.hpp"

#define STEALTH_EXPORT __attribute__((visibility("default")))

namespace {

using stealth::Door, stealth::Farewell, stealth::Guard;

constexpr Door kObject = Door::new_object, kArray = Door::new_array;

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

void* by(Door door, void* block) noexcept {
  if (Guard const* const guard = stealth::serving_guard(); guard != nullptr) guard->came_by(block, door);
  return block;
}

template <class... Rest>
[[gnu::noinline]] void* slow_new(Door door, char const* name, std::size_t size, Rest... rest) {
  void* const block = stealth::slow_allocate(size, stealth::kMinAlignment);
  return block != nullptr ? by(door, block) : ask_runtime(name, size, rest...);
}

template <class... Rest>
void* aligned_new(Door door, char const* name, std::size_t size, std::align_val_t alignment, Rest... rest) {
  void* const block = stealth::allocate_aligned(size, static_cast<std::size_t>(alignment));
  return block != nullptr ? by(door, block) : ask_runtime(name, size, alignment, rest...);
}

}  // namespace

#define STEALTH_NEW(...)                                                   \
  if (void* const block = stealth::pop(n); block != nullptr) return block; \
  return slow_new(__VA_ARGS__)

STEALTH_EXPORT void* operator new(std::size_t n) { STEALTH_NEW(kObject, "_Znwm", n); }
STEALTH_EXPORT void* operator new[](std::size_t n) { STEALTH_NEW(kArray, "_Znam", n); }
STEALTH_EXPORT void* operator new(std::size_t n, std::nothrow_t const& t) noexcept {
  STEALTH_NEW(kObject, "_ZnwmRKSt9nothrow_t", n, &t);
}
STEALTH_EXPORT void* operator new[](std::size_t n, std::nothrow_t const& t) noexcept {
  STEALTH_NEW(kArray, "_ZnamRKSt9nothrow_t", n, &t);
}
STEALTH_EXPORT void* operator new(std::size_t n, std::align_val_t a) {
  return aligned_new(kObject, "_ZnwmSt11align_val_t", n, a);
}
STEALTH_EXPORT void* operator new[](std::size_t n, std::align_val_t a) {
  return aligned_new(kArray, "_ZnamSt11align_val_t", n, a);
}
STEALTH_EXPORT void* operator new(std::size_t n, std::align_val_t a, std::nothrow_t const& t) noexcept {
  return aligned_new(kObject, "_ZnwmSt11align_val_tRKSt9nothrow_t", n, a, &t);
}
STEALTH_EXPORT void* operator new[](std::size_t n, std::align_val_t a, std::nothrow_t const& t) noexcept {
  return aligned_new(kArray, "_ZnamSt11align_val_tRKSt9nothrow_t", n, a, &t);
}

#define STEALTH_DELETE(...) \
  if (!stealth::push(p)) stealth::slow_deallocate_as(p, __VA_ARGS__)

STEALTH_EXPORT void operator delete(void* p) noexcept { STEALTH_DELETE(kObject); }
STEALTH_EXPORT void operator delete[](void* p) noexcept { STEALTH_DELETE(kArray); }
STEALTH_EXPORT void operator delete(void* p, std::size_t n) noexcept { STEALTH_DELETE(kObject, n); }
STEALTH_EXPORT void operator delete[](void* p, std::size_t n) noexcept { STEALTH_DELETE(kArray, n); }
STEALTH_EXPORT void operator delete(void* p, std::nothrow_t const&) noexcept { STEALTH_DELETE(kObject); }
STEALTH_EXPORT void operator delete[](void* p, std::nothrow_t const&) noexcept { STEALTH_DELETE(kArray); }
STEALTH_EXPORT void operator delete(void* p, std::align_val_t a) noexcept {
  STEALTH_DELETE(kObject, Farewell::kUnknown, static_cast<std::size_t>(a));
}
STEALTH_EXPORT void operator delete[](void* p, std::align_val_t a) noexcept {
  STEALTH_DELETE(kArray, Farewell::kUnknown, static_cast<std::size_t>(a));
}
STEALTH_EXPORT void operator delete(void* p, std::size_t n, std::align_val_t a) noexcept {
  STEALTH_DELETE(kObject, n, static_cast<std::size_t>(a));
}
STEALTH_EXPORT void operator delete[](void* p, std::size_t n, std::align_val_t a) noexcept {
  STEALTH_DELETE(kArray, n, static_cast<std::size_t>(a));
}
STEALTH_EXPORT void operator delete(void* p, std::align_val_t a, std::nothrow_t const&) noexcept {
  STEALTH_DELETE(kObject, Farewell::kUnknown, static_cast<std::size_t>(a));
}
STEALTH_EXPORT void operator delete[](void* p, std::align_val_t a, std::nothrow_t const&) noexcept {
  STEALTH_DELETE(kArray, Farewell::kUnknown, static_cast<std::size_t>(a));
}
