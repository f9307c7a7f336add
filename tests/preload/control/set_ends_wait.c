/* A thread waits at the capacity, for half a minute if need be. set_ends_wait NAME VALUE given|refused: the setting is
 * changed, and the thread goes on at once: with its memory, or without. */
#include <pthread.h>
#include <stdatomic.h>

#include "api.h"

enum { CAPACITY_MIB = 32 };
static const double at_once = 2;

static _Atomic double ended;
static atomic_int given;
static void* blocks[2 * CAPACITY_MIB];

/* Only the first call that is held up counts. */
static void* grow(void* unused) {
  (void)unused;
  for (int i = 0; i < 2 * CAPACITY_MIB; ++i) {
    const uint64_t waits = stats_now().waits;
    blocks[i] = touched(MIB);
    if (stats_now().waits != waits) {
      atomic_store(&ended, seconds_now());
      atomic_store(&given, blocks[i] != NULL);
      return NULL;
    }
  }
  check_failed(__FILE__, __LINE__, "nothing was held up");
  return NULL;
}

int main(int argc, char** argv) {
  pthread_t thread;
  load_api();
  CHECK(argc == 4);
  CHECK(pthread_create(&thread, NULL, grow, NULL) == 0);
  until_waiting(1);
  usleep(4000 * 1000); /* into a sleep that lasts from the 3.3rd second to the 6.6th, without jitter */
  const struct stealth_statistics before = stats_now();
  CHECK(before.waiting_now == 1 && before.waits == 0);
  CHECK(before.capacity == CAPACITY_MIB * MIB && before.policy == STEALTH_POLICY_ENOMEM);
  const double changed = seconds_now();
  set(argv[1], argv[2]);
  CHECK(pthread_join(thread, NULL) == 0);
  printf("%.1f ms\n", 1e3 * (atomic_load(&ended) - changed));
  CHECK(atomic_load(&ended) - changed < at_once);
  CHECK(atomic_load(&given) == (strcmp(argv[3], "given") == 0));
  return 0;
}
