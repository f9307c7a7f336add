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

// The same of an OwnerLock.
class ThriftyOwnerLock {
 public:
  [[nodiscard]] bool try_lock() noexcept {
    if (!is_alone()) return lock_.try_lock();
    if (lock_.is_held()) return false;
    lock_.lock_alone();
    return true;
  }
  void lock() noexcept {
    if (!try_lock()) [[unlikely]]
      lock_.lock();
  }
  void unlock() noexcept { lock_.unlock(); }
  [[nodiscard]] bool is_held() const noexcept { return lock_.is_held(); }
  void reset() noexcept { lock_.reset(); }

 private:
  OwnerLock lock_;
};

}  // namespace stealth
