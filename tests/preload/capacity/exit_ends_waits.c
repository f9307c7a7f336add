/* A thread waits at the capacity with a patience of 100 s when main returns; an exit handler joins it. */
#include "capacity.h"

static pthread_t waiter;
static double ended;

static void* wait_for_memory(void* unused) {
  keep(malloc(4 * MIB));
  return unused;
}

static void join(void) {
  CHECK(pthread_join(waiter, NULL) == 0);
  CHECK(seconds_now() - ended < 50);
}

int main(void) {
  require_stealth();
  CHECK(atexit(join) == 0);
  start_idle_thread();
  fill_up_to(32 * MIB);
  CHECK(pthread_create(&waiter, NULL, wait_for_memory, NULL) == 0);
  until_waiting(1);
  sleep_ms(200);
  ended = seconds_now();
  return 0;
}
