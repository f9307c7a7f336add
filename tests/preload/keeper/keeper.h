/* What the keeper's tests share: memory that becomes free, and a look at the process's threads that calls no malloc. */
#ifndef TESTS_PRELOAD_KEEPER_KEEPER_H
#define TESTS_PRELOAD_KEEPER_KEEPER_H

#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/wait.h>

#include "../support/test.h"

enum { BLOCKS = 16384, LARGE = 16 };

/* 64 MiB in small blocks and 64 MiB in large ones, all touched, then all free. */
static inline void use_and_free(void) {
  static char* small[BLOCKS];
  static char* large[LARGE];
  for (int i = 0; i < BLOCKS; ++i) {
    small[i] = (char*)malloc(4000);
    CHECK(small[i] != NULL);
    fill(small[i], 0, 4000, (unsigned)i);
  }
  for (int i = 0; i < LARGE; ++i) {
    large[i] = (char*)malloc(4 * MIB);
    CHECK(large[i] != NULL);
    for (size_t at = 0; at < 4 * MIB; at += 4096) {
      large[i][at] = 1;
    }
  }
  for (int i = 0; i < BLOCKS; ++i) {
    CHECK(holds(small[i], 0, 4000, (unsigned)i));
    free(small[i]);
  }
  for (int i = 0; i < LARGE; ++i) {
    free(large[i]);
  }
}

static inline int threads_now(void) {
  struct stat facts;
  CHECK(stat("/proc/self/task", &facts) == 0);
  return (int)facts.st_nlink - 2;
}

/* Waits without a call to malloc; 0 when it has not come so within the time. */
static inline int threads_become(int wanted, double seconds) {
  const double until = seconds_now() + seconds;
  while (threads_now() != wanted) {
    if (seconds_now() > until) {
      return 0;
    }
    usleep(5000);
  }
  return 1;
}
static inline int resident_falls_below(size_t bytes, double seconds) {
  const double until = seconds_now() + seconds;
  while (resident_bytes() >= bytes) {
    if (seconds_now() > until) {
      return 0;
    }
    usleep(5000);
  }
  return 1;
}

/* Another thread than the main one that has this line in its file of /proc. */
static inline int other_thread_says(const char* file, const char* line) {
  char entries[2048];
  int found = 0;
  const int folder = open("/proc/self/task", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
  CHECK(folder >= 0);
  const long got = syscall(SYS_getdents64, folder, entries, sizeof entries);
  CHECK(got > 0);
  for (long at = 0; at < got;) {
    struct {
      uint64_t inode, next;
      unsigned short length;
      unsigned char type;
      char name[13];
    } entry;
    memcpy(&entry, entries + at, sizeof entry);
    at += entry.length;
    if (entry.name[0] == '.' || atoi(entry.name) == getpid()) {
      continue;
    }
    char path[64];
    char text[4096] = {0};
    snprintf(path, sizeof path, "/proc/self/task/%s/%s", entry.name, file);
    const int opened = open(path, O_RDONLY | O_CLOEXEC);
    if (opened < 0) {
      continue; /* it has ended meanwhile */
    }
    CHECK(read(opened, text, sizeof text - 1) > 0);
    close(opened);
    found |= strstr(text, line) != NULL;
  }
  close(folder);
  return found;
}

/* On a machine that is busy elsewhere it may have ended again before we look. */
static inline void use_until_kept(void) {
  for (int tries = 0; tries < 50; ++tries) {
    use_and_free();
    if (threads_now() == 2) {
      return;
    }
  }
  CHECK(0);
}

static inline void expect_clean_end(pid_t child) {
  int status = -1;
  CHECK(child > 0 && waitpid(child, &status, 0) == child);
  CHECK(WIFEXITED(status) && WEXITSTATUS(status) == 0);
}

#endif
