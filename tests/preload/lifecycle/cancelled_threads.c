/* Threads that are cancelled while they allocate: malloc is no cancellation point, so they end only between calls; what
 * they leave is not torn, and what they held in caches is used again. */
#include <pthread.h>

#include "../support/test.h"

static void free_it(void* block) { free(block); }

static void* until_cancelled(void* unused) {
  static _Thread_local uint64_t state = 7;
  (void)unused;
  for (;;) {
    void* block = malloc(1 + random_below(&state, 300 * KIB));
    CHECK(block != NULL);
    pthread_cleanup_push(free_it, block);
    pthread_testcancel();
    pthread_cleanup_pop(1);
  }
  return NULL;
}

/* With its own cancellation pending, no call of the family may end it. */
static void* cancelled_inside(void* finished) {
  static void* blocks[20000];
  pthread_cancel(pthread_self());
  for (int i = 0; i < 20000; ++i) {
    blocks[i] = malloc((size_t)i);
  }
  for (int i = 0; i < 20000; ++i) {
    free(blocks[i]);
  }
  for (size_t size = KIB; size < 64 * MIB; size *= 2) {
    free(realloc(calloc(1, size), size * 2));
  }
  malloc_trim(0);
  *(int*)finished = 1;
  pthread_testcancel();
  return NULL;
}

int main(void) {
  require_stealth();
  const size_t before = resident_bytes();
  for (int i = 0; i < 300; ++i) {
    pthread_t thread;
    void* result = NULL;
    CHECK(pthread_create(&thread, NULL, until_cancelled, NULL) == 0);
    usleep((unsigned)(i % 10) * 200);
    CHECK(pthread_cancel(thread) == 0);
    CHECK(pthread_join(thread, &result) == 0);
    CHECK(result == PTHREAD_CANCELED);
  }
  CHECK(resident_bytes() < before + 64 * MIB);
  pthread_t thread;
  int finished = 0;
  CHECK(pthread_create(&thread, NULL, cancelled_inside, &finished) == 0);
  CHECK(pthread_join(thread, NULL) == 0);
  CHECK(finished == 1);
  return 0;
}
