// See thread_mark.hpp.
#include "os/thread_mark.hpp"

#include <linux/futex.h>
#include <sys/syscall.h>

#include <cerrno>

#include "os/os.hpp"

namespace stealth::os {
namespace {

// Whether the kernel knows of this thread's list of robust mutexes. libc does not say: where the kernel has no such
// lists, pthread_mutex_init succeeds all the same, and the mutex of an ended thread would stay locked for ever. Asked
// once, at the first heap: a program that locks itself into a sandbox later may be killed for the question.
bool kernel_is_robust() noexcept {
  static constinit std::atomic<int> known{-1};
  int answer = known.load(std::memory_order_relaxed);
  if (answer < 0) {
    void* head = nullptr;
    std::size_t size = 0;
    auto const address = [](auto* p) { return static_cast<long>(reinterpret_cast<std::uintptr_t>(p)); };
    answer = sys(SYS_get_robust_list, 0, address(&head), address(&size)) == 0 && head != nullptr ? 1 : 0;
    known.store(answer, std::memory_order_relaxed);
  }
  return answer != 0;
}

}  // namespace

void ThreadMark::make(int holder) noexcept {
  pthread_mutexattr_t attributes;
  pthread_mutexattr_init(&attributes);
  pthread_mutexattr_setrobust(&attributes, PTHREAD_MUTEX_ROBUST);
  robust_ = kernel_is_robust() && pthread_mutex_init(&mutex_, &attributes) == 0;
  pthread_mutexattr_destroy(&attributes);
  thread_.store(holder, std::memory_order_release);
}

void ThreadMark::claim_new() noexcept {
  make(thread_id());
  if (robust_) static_cast<void>(pthread_mutex_trylock(&mutex_));  // it is free; and the other name may be ours
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

bool ThreadMark::has_ended() const noexcept {
  if (robust_) {
#if defined(__GLIBC__)
    // A robust futex holds its owner's id, which the kernel takes out when the owner ends.
    return (__atomic_load_n(&mutex_.__data.__lock, __ATOMIC_ACQUIRE) & FUTEX_TID_MASK) == 0;
#else
    return false;
#endif
  }
  int const holder = thread_.load(std::memory_order_acquire);
  return holder == 0 || !thread_exists(holder);
}

}  // namespace stealth::os
