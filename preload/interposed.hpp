// A function that we stand in front of: the definition that would be used without us.
#pragma once

#include <dlfcn.h>

#include <cstring>

#define STEALTH_EXPORT extern "C" __attribute__((visibility("default")))

namespace stealth {

template <class F>
struct Interposed {
  char const* name;
  F* function = nullptr;

  // Null: not looked up yet.
  [[nodiscard]] F* known() const noexcept { return __atomic_load_n(&function, __ATOMIC_RELAXED); }
  [[nodiscard]] F* get() noexcept {
    F* found = known();
    if (found == nullptr) [[unlikely]] {
      void* const symbol = ::dlsym(RTLD_NEXT, name);
      std::memcpy(&found, &symbol, sizeof found);
      __atomic_store_n(&function, found, __ATOMIC_RELAXED);
    }
    return found;
  }
};

}  // namespace stealth
