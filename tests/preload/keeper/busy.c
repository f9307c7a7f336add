/* The keeper at work all the time, among threads that allocate, free for each other, and come and go. */
#include <pthread.h>

#include "../support/stamp.h"
#include "keeper.h"

enum { THREADS = 4, PLACES = 300 };

static void* work(void* argument) {
  uint64_t state = 7 + (uint64_t)(uintptr_t)argument;
  static __thread void* blocks[PLACES];
  static __thread size_t sizes[PLACES];
  for (int i = 0; i < 20000; ++i) {
    const size_t place = random_below(&state, PLACES);
    CHECK(blocks[place] == NULL || stamp_kept(blocks[place], sizes[place], sizes[place], (unsigned)place));
    free(blocks[place]);
    sizes[place] = random_below(&state, (size_t)1 << (4 + random_below(&state, 16)));
    blocks[place] = malloc(sizes[place]);
    CHECK(blocks[place] != NULL);
    stamp(blocks[place], sizes[place], (unsigned)place);
    if (i % 5000 == 0) {
      usleep(30000);
    }
  }
  for (int i = 0; i < PLACES; ++i) {
    CHECK(blocks[i] == NULL || stamp_kept(blocks[i], sizes[i], sizes[i], (unsigned)i));
    free(blocks[i]);
  }
  return NULL;
}

int main(void) {
  require_stealth();
  const double until = seconds_now() + 4;
  for (uintptr_t round = 0; seconds_now() < until; ++round) {
    pthread_t threads[THREADS];
    for (uintptr_t i = 0; i < THREADS; ++i) {
      CHECK(pthread_create(&threads[i], NULL, work, (void*)(round * THREADS + i)) == 0);
    }
    use_and_free();
    for (int i = 0; i < THREADS; ++i) {
      CHECK(pthread_join(threads[i], NULL) == 0);
    }
  }
  CHECK(resident_falls_below(24 * MIB, 5)); /* what the ended threads had, too */
  CHECK(threads_become(1, 10));
  return 0;
}
