/* A library whose constructor starts and joins a thread that allocates: it runs before main, and under the loader's
 * lock when it comes by dlopen. */
#include <pthread.h>

#include "../support/test.h"

void* left_by_constructor;

static void* work(void* unused) {
  for (size_t size = 1; size < 2 * MIB; size = size * 3 + 1) {
    void* block = malloc(size);
    CHECK(block != NULL);
    memset(block, 1, size);
    free(block);
  }
  left_by_constructor = malloc(100);
  return unused;
}

__attribute__((constructor)) static void start_and_join(void) {
  pthread_t thread;
  CHECK(pthread_create(&thread, NULL, work, NULL) == 0);
  CHECK(pthread_join(thread, NULL) == 0);
}

__attribute__((destructor)) static void give_back(void) { free(left_by_constructor); }
