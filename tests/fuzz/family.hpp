// The malloc family for the target `family`: the C library's names where libstealth.so is preloaded, and the same code
// (preload/malloc.cpp) under other names where the engine is linked beside a sanitizer, whose malloc serves the rest.
#pragma once

#include <cstddef>

#ifdef FUZZ_LINKED
#define FAMILY(name) fuzzed_##name
extern "C" {
void* fuzzed_malloc(std::size_t size) noexcept;
void* fuzzed_calloc(std::size_t count, std::size_t size) noexcept;
void* fuzzed_realloc(void* p, std::size_t size) noexcept;
void* fuzzed_reallocarray(void* p, std::size_t count, std::size_t size) noexcept;
void* fuzzed_memalign(std::size_t alignment, std::size_t size) noexcept;
void* fuzzed_aligned_alloc(std::size_t alignment, std::size_t size) noexcept;
int fuzzed_posix_memalign(void** result, std::size_t alignment, std::size_t size) noexcept;
void* fuzzed_valloc(std::size_t size) noexcept;
void* fuzzed_pvalloc(std::size_t size) noexcept;
std::size_t fuzzed_malloc_usable_size(void* p) noexcept;
void fuzzed_free(void* p) noexcept;
void fuzzed_free_sized(void* p, std::size_t size) noexcept;
void fuzzed_free_aligned_sized(void* p, std::size_t alignment, std::size_t size) noexcept;
}
#else
#include <malloc.h>

#include <cstdlib>
#define FAMILY(name) ::name
// Younger than the C library; weak, since nobody but libstealth may have them.
extern "C" {
__attribute__((weak)) void free_sized(void* p, std::size_t size) noexcept;
__attribute__((weak)) void free_aligned_sized(void* p, std::size_t alignment, std::size_t size) noexcept;
}
#endif

namespace fuzz {

// What is around the calls, and differs: family_linked.cpp, family_preloaded.cpp.

// Before the first input.
void start_family();
// Whether STEALTH_GUARD=full says so.
[[nodiscard]] bool is_guarded();
// Of a block of somebody's: that its bytes can be read, and are zero, from when it is freed until others of its size
// are handed out.
[[nodiscard]] bool reads_as_zero_once_freed(void const* block);
// For one input: bits of its mode, and a byte of choice.
struct Conditions {
  bool sampled, census;
  std::uint8_t capacity;
};
// Whether NULL with ENOMEM is a right answer to a size that can be had.
[[nodiscard]] bool begin_conditions(Conditions const& wanted);
void trim_family();
// Nobody else is at work.
void check_family();
// Every block has been freed.
void end_conditions(Conditions const& wanted);

}  // namespace fuzz
