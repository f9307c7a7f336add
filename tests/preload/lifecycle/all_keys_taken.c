/* A program may take every pthread key there is: PTHREAD_KEYS_MAX of them are its own, and threads that come after
 * still allocate, end, and leave nothing behind. */
#include <limits.h>
#include <pthread.h>

#include "../support/test.h"

static void* work(void* unused) {
  for (size_t size = 1; size < 200 * KIB; size *= 3) {
    void* block = malloc(size);
    CHECK(block != NULL);
    memset(block, 1, size);
    free(block);
  }
  return unused;
}

int main(void) {
  require_stealth();
  int taken = 0;
  pthread_key_t key;
  while (pthread_key_create(&key, free) == 0) {
    ++taken;
  }
  printf("%d of %d keys\n", taken, PTHREAD_KEYS_MAX);
  /* glibc's tests want all but a handful: some belong to libraries of the system. */
  CHECK(taken >= PTHREAD_KEYS_MAX - 2);
  const size_t before = resident_bytes();
  for (int i = 0; i < 500; ++i) {
    pthread_t thread;
    CHECK(pthread_create(&thread, NULL, work, NULL) == 0);
    CHECK(pthread_join(thread, NULL) == 0);
  }
  CHECK(resident_bytes() < before + 16 * MIB);
  return 0;
}
