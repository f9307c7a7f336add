// Memory, waiting, time and files on Linux; see os.hpp for the contract.
#include <fcntl.h>
#include <linux/futex.h>
#include <linux/membarrier.h>
#include <sched.h>
#include <sys/auxv.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/uio.h>

#include <cerrno>
#include <climits>
#include <ctime>

#include "os/internal.hpp"
#include "os/os.hpp"
#include "os/write_signals.hpp"

#ifndef MAP_FIXED_NOREPLACE
#define MAP_FIXED_NOREPLACE 0x100000
#endif
#ifndef MREMAP_DONTUNMAP
#define MREMAP_DONTUNMAP 4
#endif
#ifndef MADV_DONTNEED_LOCKED
#define MADV_DONTNEED_LOCKED 24
#endif
#ifndef MADV_POPULATE_WRITE
#define MADV_POPULATE_WRITE 23
#endif
#ifndef MLOCK_ONFAULT
#define MLOCK_ONFAULT 1
#endif

namespace stealth::os {
namespace {

void* mapped(long result) {
  return result < 0 && result > -4096 ? nullptr : reinterpret_cast<void*>(static_cast<std::uintptr_t>(result));
}

timespec to_timespec(std::uint64_t ns) {
  return {static_cast<time_t>(ns / 1'000'000'000), static_cast<long>(ns % 1'000'000'000)};
}

}  // namespace

std::size_t page_size() noexcept { return ::getauxval(AT_PAGESZ); }

void* reserve(std::size_t bytes) noexcept {
  return mapped(sys(SYS_mmap, 0, number(bytes), PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0));
}

void* map(std::size_t bytes) noexcept {
  return mapped(sys(SYS_mmap, 0, number(bytes), PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0));
}

bool commit(void* at, std::size_t bytes) noexcept {
  return sys(SYS_mprotect, address(at), number(bytes), PROT_READ | PROT_WRITE) == 0;
}

bool protect(void* at, std::size_t bytes) noexcept {
  return sys(SYS_mprotect, address(at), number(bytes), PROT_NONE) == 0;
}

bool unmap(void* at, std::size_t bytes) noexcept { return sys(SYS_munmap, address(at), number(bytes)) == 0; }

bool purge(void* at, std::size_t bytes) noexcept {
  return sys(SYS_madvise, address(at), number(bytes), MADV_DONTNEED) == 0;
}

bool move_pages(void* from, void* to, std::size_t bytes) noexcept {
  // Without DONTUNMAP the old addresses would be free for anybody's next mmap, and ownership by address range wrong.
  return sys(SYS_mremap, address(from), number(bytes), number(bytes), MREMAP_MAYMOVE | MREMAP_FIXED | MREMAP_DONTUNMAP,
             address(to)) == address(to);
}

bool map_afresh(void* at, std::size_t bytes) noexcept {
  return sys(SYS_mmap, address(at), number(bytes), PROT_READ | PROT_WRITE,
             MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED | MAP_NORESERVE, -1, 0) == address(at);
}

bool fill_hole(void* at, std::size_t bytes, bool usable) noexcept {
  long const result = sys(SYS_mmap, address(at), number(bytes), usable ? PROT_READ | PROT_WRITE : PROT_NONE,
                          MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED_NOREPLACE | MAP_NORESERVE, -1, 0);
  void* const got = mapped(result);
  if (got == at) return true;
  if (got != nullptr) unmap(got, bytes);  // a kernel before 4.17, which takes the address for a hint
  return false;
}

bool exclude_from_dumps(void* at, std::size_t bytes) noexcept {
  return sys(SYS_madvise, address(at), number(bytes), MADV_DONTDUMP) == 0;
}

bool decommit(void* at, std::size_t bytes) noexcept {
  // A mapping in place of the old one is one call for both, and locked memory is no obstacle to it. It needs a mapping
  // more for a moment, of which the process may have no more: then in two steps.
  if (sys(SYS_mmap, address(at), number(bytes), PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED | MAP_NORESERVE, -1,
          0) == address(at))
    return true;
  return purge(at, bytes) && protect(at, bytes);
}

bool populate(void* at, std::size_t bytes) noexcept {
  long const result = sys(SYS_madvise, address(at), number(bytes), MADV_POPULATE_WRITE);
  if (result != -EINVAL) return result == 0;
  // Before Linux 5.14 there is no way to be told, but by a signal.
  auto volatile* const bytes_of = static_cast<char*>(at);
  for (std::size_t page = page_size(), offset = 0; offset < bytes; offset += page) bytes_of[offset] = bytes_of[offset];
  return true;
}

bool lock_in_memory(void* at, std::size_t bytes) noexcept {
  return sys(SYS_mlock2, address(at), number(bytes), MLOCK_ONFAULT) == 0;
}

bool purge_locked(void* at, std::size_t bytes) noexcept {
  if (sys(SYS_madvise, address(at), number(bytes), MADV_DONTNEED_LOCKED) == 0) return true;
  // Before Linux 5.18 the lock is in the way.
  return sys(SYS_munlock, address(at), number(bytes)) == 0 && purge(at, bytes) && lock_in_memory(at, bytes);
}

bool advise_huge_pages(void* at, std::size_t bytes) noexcept {
  return sys(SYS_madvise, address(at), number(bytes), MADV_HUGEPAGE) == 0;
}

bool refuse_huge_pages(void* at, std::size_t bytes) noexcept {
  return sys(SYS_madvise, address(at), number(bytes), MADV_NOHUGEPAGE) == 0;
}

bool break_up_huge_pages(void* at, std::size_t bytes) noexcept {
  // Advice by the page: for a part of a huge one it must be broken up, whatever the advice. Purging alone would only
  // unmap the part. Linux 5.4.
  return sys(SYS_madvise, address(at), number(bytes), MADV_COLD) == 0;
}

std::uint64_t random_bits() noexcept {
  constexpr long kNonBlocking = 1;
  std::uint64_t bits = 0;
  if (sys(SYS_getrandom, address(&bits), sizeof bits, kNonBlocking) == sizeof bits) return bits;
  return monotonic_ns() * 0x9E3779B97F4A7C15u;
}

void futex_wait(std::uint32_t const* word, std::uint32_t expected, std::uint64_t timeout_ns) noexcept {
  timespec const timeout = to_timespec(timeout_ns);
  sys(SYS_futex, address(word), FUTEX_WAIT_PRIVATE, expected, address(&timeout));
}

void futex_wake(std::uint32_t const* word, int threads) noexcept {
  sys(SYS_futex, address(word), FUTEX_WAKE_PRIVATE, threads);
}

void shared_futex_wait(std::uint32_t const* word, std::uint32_t expected, std::uint64_t timeout_ns) noexcept {
  timespec const timeout = to_timespec(timeout_ns);
  sys(SYS_futex, address(word), FUTEX_WAIT, expected, address(&timeout));
}

void shared_futex_wake(std::uint32_t const* word, int threads) noexcept {
  sys(SYS_futex, address(word), FUTEX_WAKE, threads);
}

bool ring(std::uint32_t* word) noexcept {
  // An operation on a word (add 1, compare with nothing that matters), and a wake of one word or two: here the same.
  long const operation = FUTEX_OP(FUTEX_OP_ADD, 1, FUTEX_OP_CMP_EQ, 0);
  return sys(SYS_futex, address(word), FUTEX_WAKE_OP, INT_MAX, 0, address(word), operation) >= 0;
}

Copied copy_carefully(void* to, void const* from, std::size_t bytes) noexcept {
  iovec const into = {to, bytes};
  iovec const source = {const_cast<void*>(from), bytes};
  long const copied = sys(SYS_process_vm_readv, process_id(), address(&into), 1, address(&source), 1, 0);
  if (copied == -ENOSYS || copied == -EPERM || copied == -EACCES) return Copied::refused;
  return copied >= 0 && static_cast<std::size_t>(copied) == bytes ? Copied::all : Copied::cut;
}

bool may_be_filtered() noexcept { return sys(SYS_prctl, PR_GET_SECCOMP) != 0; }

bool is_open_to_its_user() noexcept { return sys(SYS_prctl, PR_GET_DUMPABLE) == 1; }

bool acts_as_first_thread() noexcept {
  char text[2048];
  long const length = read_file("/proc/self/status", text, sizeof text);
  std::string_view rest(text, length < 0 ? 0 : static_cast<std::size_t>(length));
  std::size_t const at = rest.find("\nUid:\t");  // real, effective, saved, of files
  if (at == std::string_view::npos) return true;
  static_cast<void>(take_until(rest = after(rest, at + 6), '\t'));
  return parse_number(take_until(rest, '\t')) == user_id();
}

void yield() noexcept { sys(SYS_sched_yield); }

// The clocks go through the vDSO (libc's clock_gettime): the only calls here that bypass the door, and they cannot
// fail.
std::uint64_t monotonic_ns() noexcept {
  timespec now;
  ::clock_gettime(CLOCK_MONOTONIC, &now);
  return static_cast<std::uint64_t>(now.tv_sec) * 1'000'000'000 + static_cast<std::uint64_t>(now.tv_nsec);
}

std::uint64_t realtime_ns() noexcept {
  timespec now;
  ::clock_gettime(CLOCK_REALTIME, &now);
  return static_cast<std::uint64_t>(now.tv_sec) * 1'000'000'000 + static_cast<std::uint64_t>(now.tv_nsec);
}

std::uint64_t thread_cpu_ns() noexcept {
  timespec now = {};
  if (sys(SYS_clock_gettime, CLOCK_THREAD_CPUTIME_ID, address(&now)) != 0) return 0;
  return static_cast<std::uint64_t>(now.tv_sec) * 1'000'000'000 + static_cast<std::uint64_t>(now.tv_nsec);
}

std::uint32_t coarse_ms() noexcept {
  timespec now;
  ::clock_gettime(CLOCK_MONOTONIC_COARSE, &now);
  return static_cast<std::uint32_t>(now.tv_sec * 1000 + now.tv_nsec / 1'000'000);
}

bool barrier_in_all_threads() noexcept {
  if (sys(SYS_membarrier, MEMBARRIER_CMD_PRIVATE_EXPEDITED) == 0) return true;
  // The first time, and perhaps after a fork, the process has not said yet that it will ask.
  return sys(SYS_membarrier, MEMBARRIER_CMD_REGISTER_PRIVATE_EXPEDITED) == 0 &&
         sys(SYS_membarrier, MEMBARRIER_CMD_PRIVATE_EXPEDITED) == 0;
}

int process_id() noexcept { return static_cast<int>(sys(SYS_getpid)); }

int thread_id() noexcept { return static_cast<int>(sys(SYS_gettid)); }

bool thread_exists(int thread) noexcept { return sys(SYS_tgkill, process_id(), thread, 0) != -ESRCH; }

std::uint32_t user_id() noexcept { return static_cast<std::uint32_t>(sys(SYS_geteuid)); }

std::uint32_t real_user_id() noexcept { return static_cast<std::uint32_t>(sys(SYS_getuid)); }

int open_to_read(char const* path) noexcept {
  // A pipe in a file's place holds nobody up.
  return static_cast<int>(sys(SYS_openat, AT_FDCWD, address(path), O_RDONLY | O_CLOEXEC | O_NONBLOCK | O_NOCTTY));
}

long read_some(int file, char* into, std::size_t capacity) noexcept {
  long got = 0;
  do {
    got = sys(SYS_read, file, address(into), number(capacity));
  } while (got == -EINTR);
  return got;
}

long read_file(char const* path, char* into, std::size_t capacity) noexcept {
  int const file = open_to_read(path);
  if (file < 0) return -1;
  std::size_t total = 0;
  while (total < capacity) {
    long const got = read_some(file, into + total, capacity - total);
    if (got < 0) {
      close_file(file);
      return -1;
    }
    if (got == 0) break;
    total += static_cast<std::size_t>(got);
  }
  close_file(file);
  return static_cast<long>(total);
}

bool write_all(int file, char const* text, std::size_t bytes) noexcept {
  WithoutWriteSignals signals;
  while (bytes > 0) {
    long const wrote = signals.answered(sys(SYS_write, file, address(text), number(bytes)));
    if (wrote == -EINTR) continue;
    if (wrote <= 0) return false;
    text += wrote;
    bytes -= static_cast<std::size_t>(wrote);
  }
  return true;
}

int create_file(char const* path) noexcept {
  long const file = sys(SYS_openat, AT_FDCWD, address(path),
                        O_WRONLY | O_CREAT | O_CLOEXEC | O_NOFOLLOW | O_NONBLOCK | O_NOCTTY, 0600);
  if (file < 0) return static_cast<int>(file);
  struct stat facts;
  long result = sys(SYS_fstat, file, address(&facts));
  if (result == 0 && S_ISREG(facts.st_mode)) {  // one that somebody else has laid ready is not to be filled
    bool const own = facts.st_uid == user_id() && facts.st_nlink == 1;
    result = own ? sys(SYS_ftruncate, file, 0) : -EPERM;
  }
  if (result == 0) return static_cast<int>(file);
  close_file(static_cast<int>(file));
  return static_cast<int>(result);
}

int create_new_file(char const* path) noexcept {
  return static_cast<int>(
      sys(SYS_openat, AT_FDCWD, address(path), O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC | O_NOFOLLOW, 0600));
}

void close_file(int file) noexcept { sys(SYS_close, file); }

bool remove_file(char const* path) noexcept { return sys(SYS_unlinkat, AT_FDCWD, address(path), 0) == 0; }

bool is_left_alone(char const* path, std::uint64_t ns) noexcept {
  struct stat facts;
  if (sys(SYS_newfstatat, AT_FDCWD, address(path), address(&facts), AT_SYMLINK_NOFOLLOW) != 0) return false;
  std::uint64_t const written = static_cast<std::uint64_t>(facts.st_mtim.tv_sec) * 1'000'000'000 +
                                static_cast<std::uint64_t>(facts.st_mtim.tv_nsec);
  std::uint64_t const now = realtime_ns();
  return S_ISREG(facts.st_mode) && facts.st_uid == user_id() && now > written && now - written >= ns;
}

bool for_each_name(char const* directory, void* context, void (*each)(void*, std::string_view) noexcept) noexcept {
  struct Entry {  // getdents64(2)
    std::uint64_t inode, offset;
    std::uint16_t bytes;
    std::uint8_t type;
    char name[1];
  };
  constexpr int kMostReads = 64;
  long const file = sys(SYS_openat, AT_FDCWD, address(directory), O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
  if (file < 0) return false;
  alignas(Entry) char entries[4096];
  long got = 0;
  for (int reads = 0; reads < kMostReads; ++reads) {
    got = sys(SYS_getdents64, file, address(entries), sizeof entries);
    if (got <= 0) break;
    for (long at = 0; at < got;) {
      auto const* const entry = reinterpret_cast<Entry const*>(entries + at);
      each(context, static_cast<char const*>(entry->name));
      at += entry->bytes;
    }
  }
  close_file(static_cast<int>(file));
  return got >= 0;
}

}  // namespace stealth::os
