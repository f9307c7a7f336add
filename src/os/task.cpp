// See task.hpp.
#include "os/task.hpp"

#include <fcntl.h>
#include <sched.h>
#include <sys/eventfd.h>
#include <sys/prctl.h>
#include <sys/syscall.h>

#include <cerrno>
#include <csignal>
#include <cstring>

#include "os/internal.hpp"
#include "os/os.hpp"

#ifndef SYS_close_range
#define SYS_close_range 436
#endif
#ifndef CLOSE_RANGE_UNSHARE
#define CLOSE_RANGE_UNSHARE (1U << 1)
#endif
#ifndef SYS_pidfd_open
#define SYS_pidfd_open 434
#endif
#ifndef SYS_pidfd_getfd
#define SYS_pidfd_getfd 438
#endif

namespace stealth::os {
namespace {

constexpr std::size_t kStack = std::size_t{64} * 1024;
// libc's own record of a thread lies next to the thread pointer: above it on x86-64, below it on aarch64. Code of libc
// that looks into it finds zeroes.
constexpr std::size_t kMargin = 4096;

// Those of glibc's pthread_create, to the bit: there are sandboxes that permit exactly these, and emulators that know
// no others.
constexpr int kFlags = CLONE_VM | CLONE_FS | CLONE_FILES | CLONE_SIGHAND | CLONE_THREAD | CLONE_SYSVSEM | CLONE_SETTLS |
                       CLONE_PARENT_SETTID | CLONE_CHILD_CLEARTID;

// The two things that depend on the machine: where the thread pointer is, and what must stand there.
#if defined(__x86_64__) && defined(__LP64__) && defined(__GLIBC__)
constexpr bool kKnown = true;
char* thread_pointer() noexcept {
  char* p = nullptr;
  asm("mov %%fs:0, %0" : "=r"(p));
  return p;
}
void prepare(char* pointer) noexcept {  // it holds its own address, and libc's record of the thread does again
  auto const self = reinterpret_cast<std::uintptr_t>(pointer);
  std::memcpy(pointer, &self, sizeof self);
  std::memcpy(pointer + 16, &self, sizeof self);
}
#elif defined(__aarch64__) && defined(__GLIBC__)
constexpr bool kKnown = true;
char* thread_pointer() noexcept {
  char* p = nullptr;
  asm("mrs %0, tpidr_el0" : "=r"(p));
  return p;
}
void prepare(char*) noexcept {}
#else
constexpr bool kKnown = false;
char* thread_pointer() noexcept { return nullptr; }
void prepare(char*) noexcept {}
#endif

constexpr std::size_t rounded_up(std::size_t n, std::size_t to) { return (n + to - 1) / to * to; }

// How far the storage reaches to both sides of the thread pointer, the same in all threads.
struct Reach {
  std::size_t below = kMargin, above = kMargin;

  void include(char const* pointer, void const* at, std::size_t bytes) noexcept {
    auto const distance = static_cast<char const*>(at) - pointer;
    if (distance < 0) {
      below = larger(below, static_cast<std::size_t>(-distance) + kMargin);
    } else {
      above = larger(above, static_cast<std::size_t>(distance) + bytes + kMargin);
    }
  }
  static std::size_t larger(std::size_t a, std::size_t b) noexcept { return a > b ? a : b; }
};

int run_body(void* body) noexcept {
  reinterpret_cast<void (*)() noexcept>(body)();
  return 0;
}

}  // namespace

// The C library's functions for it leave out the signals that it uses itself.
std::uint64_t block_signals() noexcept {
  std::uint64_t const all = ~std::uint64_t{0};
  std::uint64_t before = 0;
  bool const blocked = sys(SYS_rt_sigprocmask, SIG_SETMASK, address(&all), address(&before), sizeof all) == 0;
  return blocked ? before : kNotBlocked;
}

void unblock_signals(std::uint64_t before) noexcept {
  if (before != kNotBlocked) sys(SYS_rt_sigprocmask, SIG_SETMASK, address(&before), 0, sizeof before);
}

bool Task::start(void (*body)() noexcept, void const* local, std::size_t local_bytes) noexcept {
  if (!kKnown || is_there()) return false;
  char* const own_pointer = thread_pointer();
  Reach reach;
  reach.include(own_pointer, &errno, sizeof errno);
  reach.include(own_pointer, local, local_bytes);
  reach.below = rounded_up(reach.below, 64);
  if (place_ == nullptr) {
    std::size_t const guard = page_size();
    stack_end_ = guard + kStack;
    bytes_ = rounded_up(stack_end_ + reach.below + reach.above, guard);
    auto* const place = static_cast<char*>(reserve(bytes_));
    if (place == nullptr) return false;
    if (!commit(place + guard, bytes_ - guard)) {
      unmap(place, bytes_);
      return false;
    }
    place_ = place;
  }
  char* const stack_end = place_ + stack_end_;
  std::memset(stack_end, 0, bytes_ - stack_end_);
  char* const pointer = stack_end + reach.below;
  prepare(pointer);

  std::uint64_t const before = block_signals();
  if (before == kNotBlocked) return false;
  int const saved = errno;
  auto* const id = reinterpret_cast<int*>(&id_);
  // Of libc's because it puts the new thread on its stack, with what the machine wants there; it keeps no record of it.
  // This call does not go through the door: it returns twice.
  int const result = ::clone(run_body, stack_end, kFlags, reinterpret_cast<void*>(body), id, pointer, id);
  errno = saved;
  unblock_signals(before);
  if (result > 0) last_.store(result, std::memory_order_relaxed);
  return result > 0;
}

bool Task::wait_for_end(std::uint64_t ns) noexcept {
  std::uint64_t const until = monotonic_ns() + ns;
  for (int id = 0; (id = id_.load(std::memory_order_acquire)) != 0;) {
    std::uint64_t const now = monotonic_ns();
    if (now >= until) return false;
    shared_futex_wait(reinterpret_cast<std::uint32_t const*>(&id_), static_cast<std::uint32_t>(id), until - now);
  }
  // It has left its stack, but the kernel may still count it among the process's threads for a moment. If it does so
  // for longer, that is another thread, which has been given its number: it is not to be waited for again.
  int last = last_.load(std::memory_order_relaxed);
  while (last != 0 && thread_exists(last) && monotonic_ns() < until) yield();
  last_.compare_exchange_strong(last, 0, std::memory_order_relaxed);  // unless one was started meanwhile
  return true;
}

bool Task::take_own_files() noexcept {
  if (sys(SYS_close_range, 0, ~0u, CLOSE_RANGE_UNSHARE) != 0) return false;
  // 0 to 2 stand for nothing, so that no file of ours is ever taken for one of them.
  for (int i = 0; i < 3; ++i) {
    if (sys(SYS_openat, AT_FDCWD, address("/dev/null"), O_RDWR | O_CLOEXEC) < 0)
      sys(SYS_eventfd2, 0, EFD_CLOEXEC | EFD_NONBLOCK);
  }
  return true;
}

BorrowedStderr::BorrowedStderr(bool own_files) noexcept {
  if (!own_files) return;
  int const process = process_id();
  long file = -1;
  if (!may_be_filtered()) {
    long const handle = sys(SYS_pidfd_open, process, 0);
    if (handle >= 0) file = sys(SYS_pidfd_getfd, handle, 2, 0);
    if (handle >= 0) close_file(static_cast<int>(handle));
  }
  if (file < 0) {
    Path<64> path;
    path << "/proc/" << static_cast<std::uint64_t>(process) << "/fd/2";
    file = sys(SYS_openat, AT_FDCWD, address(path.c_str()), O_WRONLY | O_APPEND | O_NOCTTY | O_CLOEXEC | O_NONBLOCK);
  }
  if (file < 0) return;
  borrowed_ = sys(SYS_dup3, file, 2, O_CLOEXEC) >= 0;
  close_file(static_cast<int>(file));
}

BorrowedStderr::~BorrowedStderr() {
  if (borrowed_) sys(SYS_dup3, 0, 2, O_CLOEXEC);
}

void Task::name_this(char const* name) noexcept { sys(SYS_prctl, PR_SET_NAME, address(name)); }

}  // namespace stealth::os
