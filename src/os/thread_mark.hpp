// A mark that a living thread holds and that the kernel takes off when the thread ends, however it ends.
//
// It is a robust pthread mutex that the thread locks and never unlocks: at thread exit the kernel itself walks the
// thread's list of robust futexes and marks them ownerless. So nothing of ours runs when a thread ends: no pthread key
// (one of 1,024), no
// __cxa_thread_atexit_impl (it allocates and takes the loader's lock), no wrapped start routine (which misses the
// threads that libc starts itself), and frees after the last destructor are like any other. Where robust mutexes are
// missing (qemu's user mode), the thread's id is asked for instead.
#pragma once

#include <pthread.h>

#include <atomic>

namespace stealth::os {

class ThreadMark {
 public:
  // For a new mark, and in a forked child for one whose holder is not there: the calling thread holds it.
  void claim_new() noexcept;
  // The calling thread holds it no more: anybody may claim it.
  void release() noexcept;
  // In a forked child, whose lists of robust mutexes are empty: nobody holds it.
  void clear_in_child() noexcept;
  // The calling thread takes over from a holder that has ended (or from nobody). False while the holder lives.
  [[nodiscard]] bool claim_if_ended() noexcept;
  // Whether its holder has ended, or there is none: a look that changes nothing, for threads that are no pthreads.
  [[nodiscard]] bool has_ended() const noexcept;

 private:
  void make(int holder) noexcept;

  pthread_mutex_t mutex_ = {};
  bool robust_ = false;
  std::atomic<int> thread_{0};  // 0: nobody
};

}  // namespace stealth::os
