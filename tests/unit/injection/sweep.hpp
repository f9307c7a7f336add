// Every way in which the kernel can refuse a piece of work: it is run once to count its system calls, and then anew, in
// a child process each time, with the first call of a kind failing, the second one, and so on to the last, once and
// from there on for ever, with each error that the kernel has for it.
//
// Where a kind has many calls the first kWhole are tried one by one, later ones in growing steps, and under a sanitizer
// fewer. STEALTH_INJECT=all tries every one (tests/unit/injection is the only folder that takes notice of it).
#pragma once

#include <gtest/gtest.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cerrno>
#include <csignal>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <new>
#include <string>
#include <vector>

#include "fake_sys.hpp"
#include "support.hpp"

namespace stealth::test {

struct Fault {
  long number = 0;
  char const* name = "nothing";
  int error = 0;
  std::uint64_t nth = 0;
  std::uint64_t times = 0;  // 0: nothing fails

  [[nodiscard]] bool is_none() const { return times == 0; }
  // A signal came, and no more: whoever does not just try again has lost something for nothing.
  [[nodiscard]] bool must_not_matter() const { return is_none() || (times == 1 && error == EINTR); }
  [[nodiscard]] std::string text() const {
    return std::string(name) + " " + std::to_string(nth) + (times == 1 ? "" : " and all after it") + ": " +
           std::strerror(error);
  }
};

struct Kind {
  long number;
  char const* name;
  std::vector<int> errors;  // the likeliest first
};

inline std::vector<Kind> const& kinds() {
  static std::vector<Kind> const all = {
      {SYS_mmap, "mmap", {ENOMEM, EAGAIN, EPERM}},
      {SYS_munmap, "munmap", {ENOMEM, EINVAL}},
      {SYS_mprotect, "mprotect", {ENOMEM, EACCES}},
      {SYS_madvise, "madvise", {EINVAL, ENOMEM, EAGAIN, EPERM}},
      {SYS_mremap, "mremap", {ENOMEM, EFAULT, EINVAL, EAGAIN}},
      {SYS_futex, "futex", {EINTR, EAGAIN, ENOSYS, EPERM}},
      {SYS_openat, "openat", {ENOENT, EACCES, EMFILE, ENFILE, ENOMEM, EPERM, EROFS}},
      {SYS_read, "read", {EIO, EINTR, EAGAIN, EPERM}},
      {SYS_write, "write", {ENOSPC, EIO, EINTR}},
      {SYS_pwrite64, "pwrite64", {ENOSPC, EIO, EINTR}},
      {SYS_fallocate, "fallocate", {ENOSPC, EOPNOTSUPP, EINTR}},
      {SYS_ftruncate, "ftruncate", {EIO}},
      {SYS_fstat, "fstat", {EIO}},
      {SYS_newfstatat, "newfstatat", {ENOENT, EACCES}},
      {SYS_fchmod, "fchmod", {EPERM}},
      {SYS_fchmodat, "fchmodat", {EPERM}},
      {SYS_mkdirat, "mkdirat", {EACCES, EROFS, ENOSPC}},
      {SYS_linkat, "linkat", {EMLINK, EPERM, ENOSPC}},
      {SYS_renameat2, "renameat2", {ENOENT, EINVAL}},
      {SYS_unlinkat, "unlinkat", {EPERM}},
      {SYS_readlinkat, "readlinkat", {ENOENT, EACCES}},
      {SYS_getdents64, "getdents64", {ENOENT, EIO}},
      {SYS_process_vm_readv, "process_vm_readv", {EPERM, ENOSYS, EFAULT, ENOMEM}},
      {SYS_prctl, "prctl", {EINVAL, EPERM}},
      {SYS_prlimit64, "prlimit64", {EPERM}},
      {SYS_sysinfo, "sysinfo", {EPERM}},
      {SYS_kill, "kill", {EPERM}},
      {SYS_tgkill, "tgkill", {EPERM}},
      {SYS_membarrier, "membarrier", {ENOSYS, EPERM, EINVAL}},
      {SYS_get_robust_list, "get_robust_list", {ENOSYS, EPERM}},
      {SYS_mlock2, "mlock2", {ENOMEM, EAGAIN, EPERM}},
      {SYS_munlock, "munlock", {ENOMEM, EPERM}},
  };
  return all;
}

// What a child tells the parent, which is there before the fork.
template <class T>
class Shared {
 public:
  Shared() : at_(mmap(nullptr, sizeof(T), PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0)) {
    if (at_ == MAP_FAILED) std::abort();
    new (at_) T{};
  }
  ~Shared() { munmap(at_, sizeof(T)); }
  Shared(Shared const&) = delete;
  Shared& operator=(Shared const&) = delete;
  T* operator->() const { return static_cast<T*>(at_); }

 private:
  void* at_;
};

// `before` undisturbed, `during` with the fault in force, `after` undisturbed again: each takes the fault. `after`
// judges.
template <class Before, class During, class After>
class Sweep {
 public:
  Sweep(Before before, During during, After after) : before_(before), during_(during), after_(after) {}

  void run() {
    ASSERT_TRUE(try_one({})) << "already without a fault";
    std::string told;
    std::uint64_t sum = 0;
    for (Kind const& kind : kinds()) {
      std::uint64_t const calls = counts_->calls[kind.number];
      std::uint64_t const cases = calls == 0 ? 0 : run(kind, calls);
      if (cases != 0) told += "  " + std::string(kind.name) + " " + std::to_string(calls) + "/" + std::to_string(cases);
      sum += cases;
      if (testing::Test::HasFailure()) return;
    }
    EXPECT_GT(sum, 0u) << "nothing was tried";
    std::printf("calls/cases:%s; %llu cases\n", told.c_str(), static_cast<unsigned long long>(sum));
  }

 private:
  static constexpr std::uint64_t kWhole = kSanitized ? 4 : 24;
  static constexpr long kNumbers = 512;
  struct Counts {
    std::uint64_t calls[kNumbers];
  };

  std::uint64_t run(Kind const& kind, std::uint64_t calls) {
    bool const all = std::getenv("STEALTH_INJECT") != nullptr && std::string(std::getenv("STEALTH_INJECT")) == "all";
    std::uint64_t cases = 0;
    int bad = 0;
    for (int const error : kind.errors) {
      bool const first = error == kind.errors.front();
      for (std::uint64_t nth = 1; nth <= calls; nth += all || nth < kWhole ? 1 : 1 + nth / (first ? 8 : 3)) {
        for (std::uint64_t const times : {std::uint64_t{1}, fake::kForEver}) {
          if (error == EINTR && times != 1 && kind.number != SYS_futex) continue;  // no kernel does so for ever
          Fault const fault = {kind.number, kind.name, error, nth, times};
          ++cases;
          if (try_one(fault)) continue;
          ADD_FAILURE() << fault.text();
          if (++bad == 3) return cases;
        }
      }
      if (kSanitized) break;
    }
    return cases;
  }

  bool try_one(Fault const& fault) {
    std::fflush(nullptr);
    pid_t const child = fork();
    if (child < 0) return false;
    if (child == 0) {
      alarm(kTsan ? 240 : 60);
      be_child(fault);
      std::fflush(nullptr);
      _exit(testing::Test::HasFailure() ? 1 : 0);
    }
    int status = -1;
    if (waitpid(child, &status, 0) != child) return false;
    if (WIFSIGNALED(status))
      std::printf("signal %d%s\n", WTERMSIG(status), WTERMSIG(status) == SIGALRM ? ": it hung" : "");
    return status == 0;
  }

  void be_child(Fault const& fault) {
    fake::reset();
    before_();
    std::uint64_t calls[kNumbers];
    for (long i = 0; i < kNumbers; ++i) calls[i] = fake::count(i);
    if (!fault.is_none()) fake::fail(fault.number, fault.nth, fault.error, fault.times);
    during_(fault);
    if (fault.is_none()) {
      for (long i = 0; i < kNumbers; ++i) counts_->calls[i] = fake::count(i) - calls[i];
    } else {
      fake::stop_failing(fault.number);
    }
    after_(fault);
  }

  Before before_;
  During during_;
  After after_;
  Shared<Counts> counts_;
};

template <class Before, class During, class After>
void sweep(Before before, During during, After after) {
  Sweep<Before, During, After>(before, during, after).run();
}

}  // namespace stealth::test
