// Memory for requests that nobody else can serve yet, or now: before the settings can be read, while the next allocator
// is being looked up (dlsym allocates), and from signal handlers that interrupted the slow path. Lock-free and safe in
// signal handlers.
#pragma once

#include <cstddef>

namespace stealth::bootstrap {

[[nodiscard]] void* allocate(std::size_t size,
                             std::size_t alignment) noexcept;  // zeroed; null only if the kernel refuses
[[nodiscard]] bool owns(void const* p) noexcept;
void deallocate(void* p) noexcept;
[[nodiscard]] std::size_t usable_size(void const* p) noexcept;

}  // namespace stealth::bootstrap
