/* Eight threads press on a class of at most 64 blocks: at no moment are more than 64 of its blocks out, and everybody
 * gets on. The policy is grant, so what the class cannot give comes from the next allocator. */
#include <pthread.h>
#include <stdatomic.h>

#include "../support/test.h"

enum { THREADS = 8, HELD = 16, MAX = 64 };
static atomic_int out, most;
static pthread_barrier_t all_hold;

static void* work(void* unused) {
  void* blocks[HELD];
  for (int round = 0; round < 30; ++round) {
    for (int i = 0; i < HELD; ++i) {
      blocks[i] = malloc(4000);
      CHECK(blocks[i] != NULL);
      if (malloc_usable_size(blocks[i]) == 4096) {
        const int now = atomic_fetch_add(&out, 1) + 1;
        int seen = atomic_load(&most);
        while (now > seen && !atomic_compare_exchange_weak(&most, &seen, now)) {
        }
      }
    }
    if (round == 0) {
      pthread_barrier_wait(&all_hold); /* so that the class was full once */
    }
    usleep(1000);
    for (int i = 0; i < HELD; ++i) {
      if (malloc_usable_size(blocks[i]) == 4096) {
        atomic_fetch_sub(&out, 1);
      }
      free(blocks[i]);
    }
  }
  return unused;
}

int main(void) {
  pthread_t threads[THREADS];
  require_stealth();
  CHECK(pthread_barrier_init(&all_hold, NULL, THREADS) == 0);
  for (int i = 0; i < THREADS; ++i) {
    CHECK(pthread_create(&threads[i], NULL, work, NULL) == 0);
  }
  for (int i = 0; i < THREADS; ++i) {
    CHECK(pthread_join(threads[i], NULL) == 0);
  }
  printf("most at once: %d\n", atomic_load(&most));
  CHECK(atomic_load(&most) == MAX || standing_in());
  CHECK(atomic_load(&out) == 0);
  return 0;
}
