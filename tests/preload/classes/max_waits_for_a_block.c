/* At its max a class waits: a thread that asks for one block more gets it when another thread frees one, not before. */
#include <pthread.h>

#include "../support/waiting.h"

enum { MAX = 100 };
static void* blocks[MAX];

static void* free_one_later(void* unused) {
  until_waiting(1);
  usleep(300000);
  free(blocks[7]);
  return unused;
}

int main(void) {
  pthread_t thread;
  require_stealth();
  for (int i = 0; i < MAX; ++i) {
    blocks[i] = malloc(4000);
    CHECK(blocks[i] != NULL);
  }
  const double begin = seconds_now();
  CHECK(pthread_create(&thread, NULL, free_one_later, NULL) == 0);
  void* more = malloc(4000);
  const double waited = seconds_now() - begin;
  CHECK(more != NULL);
  CHECK((waited > 0.2 && waited < 60) || standing_in());
  CHECK(malloc_usable_size(more) == 4096 || standing_in());
  pthread_join(thread, NULL);
  return 0;
}
