/* What the programs of this suite share: a check that names file and line, the proof that libstealth is loaded, byte
 * patterns that tell whose a block is, and a look at the resident size. Nothing in here allocates, so that it can be
 * used when memory has run out, before main, and after exit. For C and C++. */
#ifndef TESTS_PRELOAD_SUPPORT_TEST_H
#define TESTS_PRELOAD_SUPPORT_TEST_H

#include <dlfcn.h>
#include <errno.h>
#include <fcntl.h>
#include <malloc.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#ifdef __cplusplus
#define TEST_CAST(type, value)   reinterpret_cast<type>(value)
#define TEST_NUMBER(type, value) static_cast<type>(value)
#define KIB \
  size_t { 1024 }
#else
#define TEST_CAST(type, value)   ((type)(value))
#define TEST_NUMBER(type, value) ((type)(value))
#define KIB                      ((size_t)1024)
#endif
#define MIB (1024 * KIB)

/* Ends the program at once: a check may fail in a thread, a child, or a handler. */
static inline void check_failed(const char* file, int line, const char* what) {
  char text[512];
  const int saved = errno;
  const int length = snprintf(text, sizeof text, "%s:%d: not so: %s (errno %d, pid %d)\n", file, line, what, saved,
                              TEST_NUMBER(int, getpid()));
  if (length > 0 && write(2, text, TEST_NUMBER(size_t, length)) < 0) {
    _exit(98);
  }
  _exit(99);
}
#define CHECK(condition) ((condition) ? TEST_NUMBER(void, 0) : check_failed(__FILE__, __LINE__, #condition))

/* A call that must give NULL and set this errno. */
#define CHECK_FAILS(call, expected) \
  do {                              \
    errno = 0;                      \
    CHECK((call) == NULL);          \
    CHECK(errno == (expected));     \
  } while (0)

/* The suite can be tried against another allocator, to see what the tests themselves think: TEST_STANDIN=1. */
static inline int standing_in(void) { return getenv("TEST_STANDIN") != NULL; }

/* A test that passes without libstealth proves nothing. */
static inline void require_stealth(void) {
  if (!standing_in()) {
    CHECK(dlsym(RTLD_DEFAULT, "stealth_version") != NULL);
  }
}

/* Hides a value from the optimiser: the pointer is used, the number may be anything. */
static inline void keep(void* pointer) { __asm__ volatile("" : : "r"(pointer) : "memory"); }
static inline size_t opaque(size_t number) {
  __asm__ volatile("" : "+r"(number));
  return number;
}

static inline uintptr_t address_of(const void* pointer) { return TEST_CAST(uintptr_t, pointer); }
static inline int aligned_to(const void* pointer, size_t alignment) { return address_of(pointer) % alignment == 0; }

/* Small blocks of the main thread come from the break when the C library serves them, and never when we do. */
static inline int served_by_libc(const void* pointer) {
  extern char end; /* the linker's: where the program's own data ends */
  return address_of(pointer) >= address_of(&end) && address_of(pointer) < address_of(sbrk(0));
}

/* Bytes that depend on the seed and on the place, so that a block that was moved, shared or clipped shows. */
static inline unsigned char pattern_byte(size_t place, unsigned seed) {
  return TEST_NUMBER(unsigned char, ((place * 31U) ^ (place >> 8U) ^ (seed * 167U)) & 0xffU);
}
static inline void fill(void* block, size_t from, size_t to, unsigned seed) {
  unsigned char* bytes = TEST_NUMBER(unsigned char*, block);
  for (size_t i = from; i < to; ++i) {
    bytes[i] = pattern_byte(i, seed);
  }
}
static inline int holds(const void* block, size_t from, size_t to, unsigned seed) {
  const unsigned char* bytes = TEST_NUMBER(const unsigned char*, block);
  for (size_t i = from; i < to; ++i) {
    if (bytes[i] != pattern_byte(i, seed)) {
      return 0;
    }
  }
  return 1;
}
static inline int all_zero(const void* block, size_t size) {
  const unsigned char* bytes = TEST_NUMBER(const unsigned char*, block);
  return size == 0 || (bytes[0] == 0 && memcmp(bytes, bytes + 1, size - 1) == 0);
}

/* xorshift64*: the tests are random but the same on every run. */
static inline uint64_t next_random(uint64_t* state) {
  *state ^= *state >> 12;
  *state ^= *state << 25;
  *state ^= *state >> 27;
  return *state * 2685821657736338717ULL;
}
static inline size_t random_below(uint64_t* state, size_t bound) { return (next_random(state) >> 11) % bound; }

static inline double seconds_now(void) {
  struct timespec now;
  clock_gettime(CLOCK_MONOTONIC, &now);
  return TEST_NUMBER(double, now.tv_sec) + 1e-9 * TEST_NUMBER(double, now.tv_nsec);
}

/* Resident bytes of this process, read with plain system calls. */
static inline size_t resident_bytes(void) {
  char text[128] = {0};
  unsigned long pages = 0;
  const int file = open("/proc/self/statm", O_RDONLY | O_CLOEXEC);
  CHECK(file >= 0);
  CHECK(read(file, text, sizeof text - 1) > 0);
  close(file);
  CHECK(sscanf(text, "%*u %lu", &pages) == 1);
  return pages * TEST_NUMBER(size_t, sysconf(_SC_PAGESIZE));
}

#endif
