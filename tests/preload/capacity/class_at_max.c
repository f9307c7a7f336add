/* Of a class there may be 100 blocks. Eight threads wait for one more each, in sleeps that double and by then have
 * seconds to go; main frees one every 20 ms, and each wakes one of them soon. The next one waits in vain, until the
 * policy speaks: class_at_max SIZE. */
#include <stdatomic.h>

#include "capacity.h"

enum { MAX = 100, WAITERS = 8 };
static void* blocks[MAX];
static size_t size;
static atomic_int served;

static void* wait_for_block(void* unused) {
  void* block = malloc(size);
  CHECK(block != NULL);
  keep(block);
  atomic_fetch_add(&served, 1);
  return unused;
}

int main(int argc, char** argv) {
  pthread_t threads[WAITERS];
  double slowest = 0, all = 0;
  require_stealth();
  CHECK(argc == 2);
  size = strtoul(argv[1], NULL, 10);
  for (int i = 0; i < MAX; ++i) {
    blocks[i] = malloc(size);
    CHECK(blocks[i] != NULL);
  }
  for (int i = 0; i < WAITERS; ++i) {
    CHECK(pthread_create(&threads[i], NULL, wait_for_block, NULL) == 0);
  }
  until_waiting(WAITERS);
  sleep_ms(4000); /* the sleeps go on from the 3.3rd second to the 6.6th */
  CHECK(atomic_load(&served) == 0 || standing_in());
  for (int i = 0; i < WAITERS; ++i) {
    const double begin = seconds_now();
    free(blocks[i]);
    while (atomic_load(&served) <= i) {
      usleep(100);
      CHECK(seconds_now() - begin < 60);
    }
    const double took = seconds_now() - begin;
    slowest = took > slowest ? took : slowest;
    all += took;
    sleep_ms(20);
    CHECK(atomic_load(&served) == i + 1 || standing_in());
  }
  for (int i = 0; i < WAITERS; ++i) {
    CHECK(pthread_join(threads[i], NULL) == 0);
  }
  change("backoff_patience", "800ms");
  const double begin = seconds_now();
  CHECK(malloc(size) == NULL || standing_in());
  CHECK(seconds_now() - begin > 0.75 || standing_in());
  printf("slowest %.1f ms, all %.1f ms\n", slowest * 1000, all * 1000);
  CHECK(all < 2);
  return 0;
}
