// A thread of which the C library knows nothing. It is for work that makes nothing but system calls.
//
// No pthread, because pthread_create allocates, lets the C library believe for good that the program is threaded
// (__libc_single_threaded, and locked instructions in stdio from then on), counts the thread among those whose end is
// the end of the process, and runs other libraries' wrappers of it. For the kernel, and for a sandbox that permits
// threads, it is one like any other: its flags are those of a pthread.
//
// What its code may touch of thread-local data is errno and one variable that it names, for which it gets zeroed
// storage where the C library's conventions expect it; nothing else of libc's is there. So: no malloc, no locale, no
// stdio, and no pthread function.
#pragma once

#include <atomic>
#include <cstddef>
#include <cstdint>

namespace stealth::os {

class Task {
 public:
  // Starts a thread with all signals blocked that runs `body` and ends. `local`: the caller's copy of the thread-local
  // variable that the body uses. False: there is one already, the kernel gives none, or this machine's thread-local
  // storage is not known here. One caller at a time.
  [[nodiscard]] bool start(void (*body)() noexcept, void const* local, std::size_t local_bytes) noexcept;
  // Until the kernel says that it uses its stack no more.
  [[nodiscard]] bool is_there() const noexcept { return id_.load(std::memory_order_acquire) != 0; }
  // Until it is gone and the kernel counts it no more, at most so long. False: it is there still.
  bool wait_for_end(std::uint64_t ns) const noexcept;
  // In a forked child, where there is none.
  void forget() noexcept { id_.store(0, std::memory_order_relaxed); }
  // Names the calling thread for ps, top and gdb; at most 15 characters.
  static void name_this(char const* name) noexcept;

 private:
  std::atomic<int> id_{0};  // set and cleared by the kernel
  char* place_ = nullptr;   // guard page, stack, thread-local storage: mapped once
  std::size_t stack_end_ = 0, bytes_ = 0;
};

}  // namespace stealth::os
