// The control page as another process sees it: found by its name, copied, and believed when it is whole. Allocates
// nothing.
#ifndef TESTS_PRELOAD_OBSERVE_PAGE_H
#define TESTS_PRELOAD_OBSERVE_PAGE_H

#include <linux/futex.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/wait.h>

#include <climits>

#include "../support/test.h"
#include "observe/page.hpp"

namespace page {

using stealth::observe::Page;
using stealth::observe::Snapshot;

constexpr double kLate = 60;  // seconds that anything may take on a busy machine

template <class Condition>
bool soon(Condition condition) {
  for (double const until = seconds_now() + kLate; !condition();) {
    if (seconds_now() > until) return false;
    usleep(2000);
  }
  return true;
}

// A process's page, or a draft of it, in a user's folder; its path into `path`.
inline bool find(pid_t process, char (&path)[512], unsigned user = geteuid()) {
  char places[3][64];
  char beginning[32];
  snprintf(beginning, sizeof beginning, "page-%d-", static_cast<int>(process));
  snprintf(places[0], sizeof places[0], "/dev/shm/stealth-%u", user);
  snprintf(places[1], sizeof places[1], "/run/user/%u/stealth-%u", user, user);
  snprintf(places[2], sizeof places[2], "/tmp/stealth-%u", user);
  bool found = false;
  for (char const* const place : places) {
    int const folder = open(place, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    if (folder < 0) continue;
    alignas(8) char entries[4096];
    for (long got = 0; !found && (got = syscall(SYS_getdents64, folder, entries, sizeof entries)) > 0;) {
      for (long at = 0; at < got && !found;) {  // inode, offset, length, type, name
        unsigned short length = 0;
        memcpy(&length, entries + at + 16, sizeof length);
        char const* const name = entries + at + 19;
        found = strncmp(name, beginning, strlen(beginning)) == 0;
        if (found) snprintf(path, sizeof path, "%s/%s", place, name);
        at += length;
      }
    }
    close(folder);
    if (found) break;
  }
  return found;
}
inline bool exists(pid_t process, unsigned user = geteuid()) {
  char path[512];
  return find(process, path, user);
}

// A process's page, once it is there with a snapshot.
class Reader {
 public:
  explicit Reader(pid_t process) {
    CHECK(soon([&] { return map(process); }));
    CHECK(memcmp(page_->head.magic, stealth::observe::kMagic, sizeof page_->head.magic) == 0);
    CHECK(page_->head.process == static_cast<unsigned>(process));
  }
  ~Reader() { munmap(page_, sizeof(Page)); }
  Reader(Reader const&) = delete;
  Reader& operator=(Reader const&) = delete;

  Page* operator->() const { return page_; }
  // The newest snapshot, whole.
  Snapshot const& read() {
    CHECK(soon([&] {
      std::uint64_t const newest = __atomic_load_n(&page_->newest, __ATOMIC_ACQUIRE);
      memcpy(&copy_, &page_->snapshots[newest % 2], sizeof copy_);
      __atomic_thread_fence(__ATOMIC_SEQ_CST);
      return copy_.begun == newest && copy_.ended == newest &&
             __atomic_load_n(&page_->newest, __ATOMIC_ACQUIRE) == newest;
    }));
    return copy_;
  }
  template <class Condition>
  bool comes(Condition condition) {
    return soon([&] { return condition(read()); });
  }
  // The error that the answer tells.
  int wish(char const* text) {
    std::uint32_t const number = page_->answer.number + 1;
    snprintf(page_->wish.text, sizeof page_->wish.text, "%s", text);
    __atomic_store_n(&page_->wish.number, number, __ATOMIC_SEQ_CST);
    __atomic_fetch_add(&page_->bell, 1, __ATOMIC_SEQ_CST);
    syscall(SYS_futex, &page_->bell, FUTEX_WAKE, INT_MAX, nullptr, nullptr, 0);
    CHECK(soon([&] { return __atomic_load_n(&page_->answer.number, __ATOMIC_ACQUIRE) == number; }));
    return page_->answer.error;
  }

 private:
  bool map(pid_t process) {
    char path[512];
    if (!find(process, path)) return false;
    int const file = open(path, O_RDWR | O_CLOEXEC);
    if (file < 0) return false;
    struct stat facts {};
    CHECK(fstat(file, &facts) == 0);
    void* const at = facts.st_size == sizeof(Page)
                         ? mmap(nullptr, sizeof(Page), PROT_READ | PROT_WRITE, MAP_SHARED, file, 0)
                         : nullptr;
    close(file);
    CHECK(at != MAP_FAILED);
    page_ = static_cast<Page*>(at);
    if (at != nullptr && __atomic_load_n(&page_->newest, __ATOMIC_ACQUIRE) != 0) return true;
    if (at != nullptr) munmap(at, sizeof(Page));
    return false;
  }

  Page* page_ = nullptr;
  Snapshot copy_{};
};

inline void expect_clean_end(pid_t child) {
  int status = -1;
  CHECK(child > 0 && waitpid(child, &status, 0) == child);
  CHECK(WIFEXITED(status) && WEXITSTATUS(status) == 0);
}

// This program once more, in another way.
inline void start_again(char const* how) {
  char own[512] = {};
  CHECK(readlink("/proc/self/exe", own, sizeof own - 1) > 0);
  execl(own, own, how, static_cast<char*>(nullptr));
  CHECK(false);
}

}  // namespace page

#endif
