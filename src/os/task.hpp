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
  // Until it has left its stack, and the kernel counts it no more; at most so long. False: it has not left it.
  bool wait_for_end(std::uint64_t ns) noexcept;
  // In a forked child, where there is none.
  void forget() noexcept {
    id_.store(0, std::memory_order_relaxed);
    last_.store(0, std::memory_order_relaxed);
  }
  // Gives the calling task a table of descriptors of its own, with nothing in it: what it opens for a moment, the
  // program's threads would otherwise get to see: a number that is taken, one that they close, and open anew, in the
  // middle of a write of ours. False: the kernel has no such call; nothing has happened.
  [[nodiscard]] static bool take_own_files() noexcept;
  // Names the calling thread for ps, top and gdb; at most 15 characters.
  static void name_this(char const* name) noexcept;

 private:
  std::atomic<int> id_{0};    // set and cleared by the kernel, which may count the thread for a moment longer
  std::atomic<int> last_{0};  // the one started last; 0 when it is known to be gone
  char* place_ = nullptr;     // guard page, stack, thread-local storage: mapped once
  std::size_t stack_end_ = 0, bytes_ = 0;
};

// For as long as it lives, what a task with files of its own writes to descriptor 2 goes where the program's goes.
// Where that cannot be had, nowhere. For a task without, nothing changes.
class BorrowedStderr {
 public:
  explicit BorrowedStderr(bool own_files) noexcept;
  ~BorrowedStderr();
  BorrowedStderr(BorrowedStderr const&) = delete;
  BorrowedStderr& operator=(BorrowedStderr const&) = delete;

 private:
  bool borrowed_ = false;
};

}  // namespace stealth::os
