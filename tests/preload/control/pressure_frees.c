/* A cache that is emptied when memory is short: pressure_frees BLOCK_BYTES. The program waits at the capacity, for half
 * a minute if need be; the callback frees the cache, and the program goes on. The callback needs some memory itself for
 * that, which it gets at once, though there is none. */
#include <pthread.h>

#include "api.h"

enum { ROUNDS = 3, CACHE_BYTES = 16 << 20 };

static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
static void** cache;
static size_t cached, block_size;
static int emptied;
static double slowest_need;

static void empty_cache(enum stealth_pressure level, void* context) {
  (void)context;
  if (level != STEALTH_PRESSURE_CAPACITY) {
    return;
  }
  pthread_mutex_lock(&lock);
  if (cached != 0) {
    const double before = seconds_now();
    void* need = touched(300 * KIB);
    void* little = touched(300);
    CHECK(need != NULL && little != NULL);
    const double took = seconds_now() - before;
    slowest_need = took > slowest_need ? took : slowest_need;
    while (cached > 0) {
      free(cache[--cached]);
    }
    ++emptied;
    free(need);
    free(little);
  }
  pthread_mutex_unlock(&lock);
}

/* Without an allocation under the lock: the callback must get it while this thread waits for memory. */
static void fill_cache(void) {
  for (size_t bytes = 0; bytes < CACHE_BYTES; bytes += block_size) {
    void* block = touched(block_size);
    CHECK(block != NULL);
    pthread_mutex_lock(&lock);
    cache[cached++] = block;
    pthread_mutex_unlock(&lock);
  }
}

int main(int argc, char** argv) {
  static void* blocks[20];
  uint64_t handle = 0;
  load_api();
  CHECK(argc == 2);
  block_size = strtoul(argv[1], NULL, 10);
  cache = malloc(CACHE_BYTES / block_size * 2 * sizeof *cache);
  CHECK(cache != NULL);
  CHECK(api.on_pressure(empty_cache, NULL, &handle) == STEALTH_OK);
  double slowest = 0;
  for (int round = 0; round < ROUNDS; ++round) {
    fill_cache();
    for (int i = 0; i < 20; ++i) { /* with the cache, more than the capacity */
      const double before = seconds_now();
      CHECK((blocks[i] = touched(MIB)) != NULL);
      const double took = seconds_now() - before;
      slowest = took > slowest ? took : slowest;
    }
    CHECK(emptied == round + 1);
    for (int i = 0; i < 20; ++i) {
      free(blocks[i]);
    }
    usleep(1000 * 1000); /* each level is told at most every 100 ms: what was raised again is told in this round */
  }
  CHECK(api.pressure_end(handle) == STEALTH_OK);
  const struct stealth_statistics now = stats_now();
  printf("%llu waits, longest %.1f ms, in the callback %.1f ms\n", (unsigned long long)now.waits, 1e3 * slowest,
         1e3 * slowest_need);
  CHECK(now.waits >= ROUNDS && now.refusals == 0);
  CHECK(now.grants <= 2 * ROUNDS); /* what the callback was given */
  CHECK(slowest < 15 && slowest_need < 15);
  CHECK(now.peak <= now.capacity + MIB);
  return 0;
}
