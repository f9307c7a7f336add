/* What a program does under vm.overcommit_memory=2, where every writable private page is charged when it is mapped: 200
 * MiB of blocks of all sizes, threads, forks, and a request that the kernel must refuse. */
#include <pthread.h>
#include <sys/wait.h>

#include "../support/stamp.h"

enum { BLOCKS = 2000 };

static void* work(void* number) {
  uint64_t state = 1 + (uint64_t)(uintptr_t)number;
  for (int i = 0; i < 5000; ++i) {
    const size_t size = 1 + random_below(&state, 20 * KIB);
    void* block = malloc(size);
    CHECK(block != NULL);
    stamp(block, size, 1);
    free(block);
  }
  return NULL;
}

int main(void) {
  static void* blocks[BLOCKS];
  pthread_t threads[4];
  int status = 0;
  require_stealth();
  for (int i = 0; i < BLOCKS; ++i) {
    blocks[i] = malloc(100 * KIB);
    CHECK(blocks[i] != NULL);
    stamp(blocks[i], 100 * KIB, (unsigned)i);
  }
  for (int i = 0; i < 4; ++i) {
    CHECK(pthread_create(&threads[i], NULL, work, (void*)(uintptr_t)i) == 0);
  }
  for (int i = 0; i < 4; ++i) {
    CHECK(pthread_join(threads[i], NULL) == 0);
  }
  const pid_t child = fork();
  CHECK(child >= 0);
  if (child == 0) {
    work(NULL);
    exit(0);
  }
  CHECK(waitpid(child, &status, 0) == child && status == 0);
  CHECK_FAILS(malloc(opaque((size_t)8 << 40)), ENOMEM);
  CHECK_FAILS(malloc(opaque((size_t)900 << 30)), ENOMEM); /* fits into the reservation, not into the commit limit */
  for (int i = 0; i < BLOCKS; ++i) {
    CHECK(stamp_kept(blocks[i], 100 * KIB, 100 * KIB, (unsigned)i));
    free(blocks[i]);
  }
  return 0;
}
