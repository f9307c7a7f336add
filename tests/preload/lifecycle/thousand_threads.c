/* 1,000 threads alive at once, each holding a little: its cost is bounded, all blocks are its own, and the main thread
 * can free them when their threads are gone. */
#include <pthread.h>

#include "../support/stamp.h"

enum { THREADS = 1000, HELD = 24 };
static pthread_barrier_t all_there;
static void* blocks[THREADS][HELD];

static size_t size_of(size_t number) { return 16 + number * 37 % 900; }

static void* work(void* argument) {
  const size_t self = (uintptr_t)argument;
  for (size_t i = 0; i < HELD; ++i) {
    free(malloc(size_of(i + 1)));
    blocks[self][i] = malloc(size_of(i));
    CHECK(blocks[self][i] != NULL);
    stamp(blocks[self][i], size_of(i), (unsigned)(self + i));
  }
  pthread_barrier_wait(&all_there);
  return NULL;
}

int main(void) {
  static pthread_t threads[THREADS];
  pthread_attr_t attributes;
  require_stealth();
  pthread_attr_init(&attributes);
  CHECK(pthread_attr_setstacksize(&attributes, 64 * KIB) == 0);
  CHECK(pthread_barrier_init(&all_there, NULL, THREADS + 1) == 0);
  const size_t before = resident_bytes();
  for (size_t i = 0; i < THREADS; ++i) {
    CHECK(pthread_create(&threads[i], &attributes, work, (void*)i) == 0);
  }
  pthread_barrier_wait(&all_there);
  const size_t held = resident_bytes();
  for (size_t i = 0; i < THREADS; ++i) {
    CHECK(pthread_join(threads[i], NULL) == 0);
  }
  for (size_t self = 0; self < THREADS; ++self) {
    for (size_t i = 0; i < HELD; ++i) {
      CHECK(stamp_kept(blocks[self][i], size_of(i), size_of(i), (unsigned)(self + i)));
      free(blocks[self][i]);
    }
  }
  printf("%zu MiB before, %zu MiB held\n", before / MIB, held / MIB);
  /* Each holds some 11 KiB in 23 sizes, has two or three pages of stack, and the allocator's own record of it. */
  CHECK(held < before + THREADS * 160 * KIB);
  return 0;
}
