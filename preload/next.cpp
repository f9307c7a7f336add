// See next.hpp.
#include "next.hpp"

#include <dlfcn.h>

#include <atomic>
#include <cerrno>
#include <cstring>

#include "base/units.hpp"
#include "bootstrap.hpp"

namespace stealth::next {

namespace {

struct Functions {
  void* (*malloc)(std::size_t);
  void* (*calloc)(std::size_t, std::size_t);
  void* (*realloc)(void*, std::size_t);
  void* (*memalign)(std::size_t, std::size_t);
  void (*free)(void*);
  std::size_t (*usable_size)(void*);
};

enum class State : std::uint8_t { unknown, looking, found };

constinit Functions g_next = {};
constinit std::atomic<State> g_state{State::unknown};
constinit std::atomic<std::uint64_t> g_calls{0}, g_bytes{0};

template <class F>
void look_up(F& function, char const* name) {
  void* const found = ::dlsym(RTLD_NEXT, name);
  static_assert(sizeof found == sizeof function);
  std::memcpy(&function, &found, sizeof found);
}

}  // namespace

void* find(char const* name) noexcept {
  if (void* const found = ::dlsym(RTLD_NEXT, name); found != nullptr) return found;
  // A C++ plugin of a C program brings the runtime into a scope of its own.
  for (char const* runtime : {"libstdc++.so.6", "libc++abi.so.1", "libc++.so.1"}) {
    void* const handle = ::dlopen(runtime, RTLD_LAZY | RTLD_NOLOAD);
    void* const found = handle == nullptr ? nullptr : ::dlsym(handle, name);
    if (handle != nullptr) ::dlclose(handle);
    if (found != nullptr) return found;
  }
  return nullptr;
}

bool resolve() noexcept {
  State state = g_state.load(std::memory_order_acquire);
  if (state == State::found) return true;
  if (state == State::looking || !g_state.compare_exchange_strong(state, State::looking)) return state == State::found;
  int const saved = errno;
  look_up(g_next.malloc, "malloc");
  look_up(g_next.calloc, "calloc");
  look_up(g_next.realloc, "realloc");
  look_up(g_next.memalign, "memalign");
  look_up(g_next.free, "free");
  look_up(g_next.usable_size, "malloc_usable_size");
  errno = saved;
  g_state.store(State::found, std::memory_order_release);
  return true;
}

void* allocate(std::size_t size, std::size_t alignment, bool zeroed) noexcept {
  if (!resolve()) return bootstrap::allocate(size, alignment);
  g_calls.fetch_add(1, std::memory_order_relaxed);
  g_bytes.fetch_add(size, std::memory_order_relaxed);
  // Some align what is smaller than this to 8 bytes only, and forget the alignment that was asked for with size 0.
  size = max(size, kMinAlignment);
  if (alignment > kMinAlignment) {
    if (g_next.memalign == nullptr) return nullptr;
    void* const p = g_next.memalign(alignment, size);
    if (p != nullptr && zeroed) std::memset(p, 0, size);
    return p;
  }
  if (zeroed) return g_next.calloc == nullptr ? nullptr : g_next.calloc(1, size);
  return g_next.malloc == nullptr ? nullptr : g_next.malloc(size);
}

void deallocate(void* p) noexcept {
  if (!resolve() || g_next.free == nullptr) return;
  int const saved = errno;
  g_next.free(p);
  errno = saved;
}

void* reallocate(void* p, std::size_t size) noexcept {
  return resolve() && g_next.realloc != nullptr ? g_next.realloc(p, size) : nullptr;
}

std::size_t usable_size(void* p) noexcept {
  return resolve() && g_next.usable_size != nullptr ? g_next.usable_size(p) : 0;
}

Facts facts() noexcept { return {g_calls.load(std::memory_order_relaxed), g_bytes.load(std::memory_order_relaxed)}; }

}  // namespace stealth::next
