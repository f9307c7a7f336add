// What a process with one thread can do without.
#pragma once

#if __has_include(<sys/single_threaded.h>)
#include <sys/single_threaded.h>
#endif

#include "base/mutex.hpp"

namespace stealth {

// As the C library knows it. Another thread can only come from this one, so what is true stays true until the caller
// has returned to the program.
[[nodiscard]] inline bool is_alone() noexcept {
#if __has_include(<sys/single_threaded.h>)
  return __libc_single_threaded != 0;
#else
  return false;
#endif
}

// A Mutex without locked instructions as long as there is nobody to lock out. It is held all the same, and may be given
// back when there are others.
class ThriftyMutex {
 public:
  void lock() noexcept {
    if (is_alone()) {
      mutex_.lock_alone();
    } else {
      mutex_.lock();
    }
  }
  void unlock() noexcept {
    if (is_alone()) {
      mutex_.unlock_alone();
    } else {
      mutex_.unlock();
    }
  }
  void reset() noexcept { mutex_.reset(); }

 private:
  Mutex mutex_;
};

}  // namespace stealth
