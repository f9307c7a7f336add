/* 10,000 short threads, eight at a time, each leaving a block behind for the main thread to free: what they used is
 * used again, so that the resident size stays bounded. */
#include <pthread.h>

#include "../support/stamp.h"

enum { TOTAL = 10000, AT_ONCE = 8 };

static void* work(void* number) {
  uint64_t state = 1 + (uint64_t)(uintptr_t)number;
  void* blocks[60];
  for (int i = 0; i < 60; ++i) {
    const size_t size = 1 + random_below(&state, i % 10 == 0 ? 20 * KIB : 500);
    blocks[i] = malloc(size);
    CHECK(blocks[i] != NULL);
    memset(blocks[i], 1, size);
  }
  for (int i = 0; i < 60; ++i) {
    free(blocks[i]);
  }
  void* left = malloc(1000);
  stamp(left, 1000, (unsigned)(uintptr_t)number);
  return left;
}

int main(void) {
  pthread_t threads[AT_ONCE];
  size_t after_a_few = 0;
  require_stealth();
  for (int done = 0; done < TOTAL; done += AT_ONCE) {
    for (int i = 0; i < AT_ONCE; ++i) {
      CHECK(pthread_create(&threads[i], NULL, work, (void*)(uintptr_t)(done + i)) == 0);
    }
    for (int i = 0; i < AT_ONCE; ++i) {
      void* left = NULL;
      CHECK(pthread_join(threads[i], &left) == 0);
      CHECK(stamp_kept(left, 1000, 1000, (unsigned)(done + i)));
      free(left);
    }
    if (done == 400) {
      after_a_few = resident_bytes();
    }
  }
  printf("%zu KiB after 400 threads, %zu after all\n", after_a_few / KIB, resident_bytes() / KIB);
  CHECK(resident_bytes() < after_a_few + 8 * MIB);
  return 0;
}
