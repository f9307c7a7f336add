/* Threads with the smallest stack that pthreads allows use the whole family, slow paths included: our thread-local data
 * and our frames are small. */
#include <limits.h>
#include <pthread.h>

#include "../support/test.h"

static void* work(void* unused) {
  for (size_t size = 1; size < 2 * MIB; size = size * 2 + 1) {
    void* block = malloc(size);
    CHECK(block != NULL);
    block = realloc(block, size * 2);
    CHECK(block != NULL);
    void* aligned = memalign(8192, size);
    CHECK(aligned != NULL);
    free(calloc(3, size));
    free(block);
    free(aligned);
  }
  malloc_trim(0);
  return unused;
}

int main(void) {
  pthread_attr_t attributes;
  require_stealth();
  pthread_attr_init(&attributes);
  CHECK(pthread_attr_setstacksize(&attributes, (size_t)PTHREAD_STACK_MIN) == 0);
  for (int i = 0; i < 200; ++i) {
    pthread_t threads[4];
    for (int j = 0; j < 4; ++j) {
      CHECK(pthread_create(&threads[j], &attributes, work, NULL) == 0);
    }
    for (int j = 0; j < 4; ++j) {
      CHECK(pthread_join(threads[j], NULL) == 0);
    }
  }
  return 0;
}
