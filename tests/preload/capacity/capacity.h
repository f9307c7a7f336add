/* What the programs of this folder share: to fill the process up to its capacity, and to ask what libstealth counts.
 * Blocks above 32 KiB are charged page by page, so that "full" is exact. Under TEST_STANDIN nothing ever is. */
#ifndef TESTS_PRELOAD_CAPACITY_CAPACITY_H
#define TESTS_PRELOAD_CAPACITY_CAPACITY_H

#include <pthread.h>
#include <sys/mman.h>

#include "../support/waiting.h"

struct facts {
  unsigned long long waits, waited_ms, longest_ms, grants, refused;
};

/* From malloc_stats(), which writes into a file of ours meanwhile; nothing is allocated for it. Not while other threads
 * may begin to wait for the first time, since what they say would go there, too. */
static inline struct facts facts_now(void) {
  static char text[32768];
  struct facts facts = {0, 0, 0, 0, 0};
  if (standing_in()) {
    return facts;
  }
  const int real = dup(2);
  const int file = memfd_create("statistics", MFD_CLOEXEC);
  CHECK(real >= 0 && file >= 0 && dup2(file, 2) == 2);
  malloc_stats();
  CHECK(dup2(real, 2) == 2);
  const ssize_t length = pread(file, text, sizeof text - 1, 0);
  CHECK(length > 0);
  text[length] = 0;
  close(file);
  close(real);
  const char* numbers = strstr(text, " waits, ");
  CHECK(numbers != NULL);
  while (numbers > text && *numbers != ';') {
    --numbers;
  }
  CHECK(sscanf(numbers, "; %llu waits, %llu ms in all, longest %llu ms; %llu times over, %llu", &facts.waits,
               &facts.waited_ms, &facts.longest_ms, &facts.grants, &facts.refused) == 5);
  return facts;
}

/* Charged bytes. */
static inline size_t bytes_held(void) {
  const struct mallinfo2 info = mallinfo2();
  return info.arena + info.hblkhd;
}

static inline void* touched(size_t size) {
  void* block = malloc(size);
  if (block != NULL) {
    memset(block, 1, size);
  }
  return block;
}

/* What the process was filled with, newest last. */
static void* filling[4096];
static int filled;

/* Takes memory, in blocks of 1 MiB and then of 64 KiB, until 256 KiB and less than 320 are left to `limit`: a thread
 * can still be started then, but there is no room for 1 MiB. */
static inline void fill_up_to(size_t limit) {
  static const size_t steps[] = {1024 * 1024, 64 * 1024};
  for (int i = 0; i < 2; ++i) {
    while (!standing_in() && bytes_held() + steps[i] + 256 * KIB <= limit) {
      CHECK(filled < TEST_NUMBER(int, sizeof filling / sizeof *filling));
      filling[filled] = touched(steps[i]);
      CHECK(filling[filled++] != NULL);
    }
  }
}

/* Frees of that at least so many bytes, the newest first. */
static inline void give_back(size_t bytes) {
  for (size_t given = 0; given < bytes && filled > 0;) {
    void* block = filling[--filled];
    given += malloc_usable_size(block);
    free(block);
  }
}

/* A second thread, which does nothing: with one alone nobody else could release anything, and nobody would wait. */
static inline void* idle_for_ever(void* unused) {
  while (1) {
    pause();
  }
  return unused;
}
static inline void start_idle_thread(void) {
  pthread_t thread;
  CHECK(pthread_create(&thread, NULL, idle_for_ever, NULL) == 0);
}

static inline void sleep_ms(unsigned ms) {
  const struct timespec time = {TEST_NUMBER(time_t, ms / 1000), TEST_NUMBER(long, ms % 1000) * 1000000};
  clock_nanosleep(CLOCK_MONOTONIC, 0, &time, NULL);
}

#endif
