// The next allocator in link order (libc's, or another preloaded one): serves the sizes that no class serves, and takes
// back what is not ours.
#pragma once

#include <cstddef>
#include <cstdint>

namespace stealth::next {

// Looks the functions up; called once at start and, before that, at first need. False while somebody is at it (this
// thread too: dlsym allocates).
bool resolve() noexcept;

[[nodiscard]] void* allocate(std::size_t size, std::size_t alignment, bool zeroed) noexcept;
void deallocate(void* p) noexcept;
[[nodiscard]] void* reallocate(void* p, std::size_t size) noexcept;
[[nodiscard]] std::size_t usable_size(void* p) noexcept;
// The C++ runtime's own definition of an operator new, which throws after the new-handler gave up; null without a
// runtime.
[[nodiscard]] void* find(char const* name) noexcept;

struct Facts {
  std::uint64_t calls, bytes;
};
[[nodiscard]] Facts facts() noexcept;

}  // namespace stealth::next
