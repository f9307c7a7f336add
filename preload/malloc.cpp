// The C library's names, each a line or two over the engine.
#include <cerrno>
#include <cstddef>
#include <cstdint>

#include "engine/guarding.hpp"
#include "engine/hot.hpp"
#include "engine/outside.hpp"

#define STEALTH_EXPORT extern "C" __attribute__((visibility("default")))

using stealth::kMinAlignment;

namespace {

void* no_memory() {
  errno = ENOMEM;
  return nullptr;
}

void* wrong_alignment() {
  errno = EINVAL;
  return nullptr;
}

// valloc and pvalloc promise the system's page, which may be larger than the one we count in.
std::size_t system_page() { return stealth::os::page_size(); }

}  // namespace

STEALTH_EXPORT void* malloc(std::size_t size) noexcept { return stealth::allocate(size); }

STEALTH_EXPORT void free(void* p) noexcept { stealth::deallocate(p); }

STEALTH_EXPORT void* calloc(std::size_t count, std::size_t size) noexcept {
  std::size_t bytes = 0;
  if (__builtin_mul_overflow(count, size, &bytes)) return no_memory();
  return stealth::allocate_zeroed(bytes);
}

STEALTH_EXPORT void* realloc(void* p, std::size_t size) noexcept { return stealth::reallocate(p, size); }

STEALTH_EXPORT void* reallocarray(void* p, std::size_t count, std::size_t size) noexcept {
  std::size_t bytes = 0;
  if (__builtin_mul_overflow(count, size, &bytes)) return no_memory();
  return stealth::reallocate(p, bytes);
}

// As glibc: an alignment that is no power of two is rounded up to one, if there is one.
STEALTH_EXPORT void* memalign(std::size_t alignment, std::size_t size) noexcept {
  constexpr std::size_t kLargest = ~(SIZE_MAX >> 1);
  if (alignment > kLargest) return wrong_alignment();
  std::size_t rounded = kMinAlignment;
  while (rounded < alignment) rounded *= 2;
  return stealth::allocate_aligned(size, rounded);
}

// As glibc 2.38 and POSIX: an alignment that is no power of two is refused.
STEALTH_EXPORT void* aligned_alloc(std::size_t alignment, std::size_t size) noexcept {
  if (!stealth::is_power_of_two(alignment)) return wrong_alignment();
  return stealth::allocate_aligned(size, alignment);
}

// As glibc, which says at a refusal for want of memory in errno what it returns; otherwise errno stays as it was.
STEALTH_EXPORT int posix_memalign(void** result, std::size_t alignment, std::size_t size) noexcept {
  if (!stealth::is_power_of_two(alignment) || alignment % sizeof(void*) != 0) return EINVAL;
  int const saved = errno;
  void* const p = stealth::allocate_aligned(size, alignment);
  if (p == nullptr) return ENOMEM;
  errno = saved;
  *result = p;
  return 0;
}

STEALTH_EXPORT void* valloc(std::size_t size) noexcept { return stealth::allocate_aligned(size, system_page()); }

STEALTH_EXPORT void* pvalloc(std::size_t size) noexcept {
  std::size_t const page = system_page();
  if (size > PTRDIFF_MAX - page) return no_memory();
  return stealth::allocate_aligned(size == 0 ? page : stealth::align_up(size, page), page);
}

STEALTH_EXPORT std::size_t malloc_usable_size(void* p) noexcept { return stealth::usable_size(p); }

STEALTH_EXPORT void free_sized(void* p, std::size_t size) noexcept {
  if (!stealth::push(p)) stealth::slow_deallocate_as(p, stealth::Door::malloc, size);
}

STEALTH_EXPORT void free_aligned_sized(void* p, std::size_t alignment, std::size_t size) noexcept {
  if (!stealth::push(p)) stealth::slow_deallocate_as(p, stealth::Door::malloc, size, alignment);
}
