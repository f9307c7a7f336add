// See thread_mark.hpp.
#include "os/thread_mark.hpp"

#include <cerrno>

#include "os/os.hpp"

namespace stealth::os {

void ThreadMark::make(int holder) noexcept {
  pthread_mutexattr_t attributes;
  pthread_mutexattr_init(&attributes);
  pthread_mutexattr_setrobust(&attributes, PTHREAD_MUTEX_ROBUST);
  robust_ = pthread_mutex_init(&mutex_, &attributes) == 0;
  pthread_mutexattr_destroy(&attributes);
  thread_.store(holder, std::memory_order_release);
}

void ThreadMark::claim_new() noexcept {
  make(thread_id());
  if (robust_) pthread_mutex_lock(&mutex_);
}

void ThreadMark::release() noexcept {
  thread_.store(0, std::memory_order_release);
  if (robust_) pthread_mutex_unlock(&mutex_);
}

void ThreadMark::clear_in_child() noexcept { make(0); }

bool ThreadMark::claim_if_ended() noexcept {
  if (robust_) {
    int const result = pthread_mutex_trylock(&mutex_);
    if (result == EOWNERDEAD) pthread_mutex_consistent(&mutex_);
    return result == 0 || result == EOWNERDEAD;
  }
  int holder = thread_.load(std::memory_order_acquire);
  int const self = thread_id();
  if (holder != 0 && holder != self && thread_exists(holder)) return false;
  return thread_.compare_exchange_strong(holder, self, std::memory_order_acq_rel);
}

}  // namespace stealth::os
