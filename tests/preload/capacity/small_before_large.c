/* A thread waits for 24 MiB that do not come; who needs 64 KiB, for which there is room, does not wait behind it. */
#include "capacity.h"

static void* take_large(void* unused) {
  CHECK(malloc(24 * MIB) == NULL || standing_in());
  return unused;
}

int main(void) {
  pthread_t thread;
  require_stealth();
  fill_up_to(30 * MIB);
  CHECK(pthread_create(&thread, NULL, take_large, NULL) == 0);
  sleep_ms(300);
  const struct facts before = facts_now();
  for (int i = 0; i < 8; ++i) {
    void* block = touched(64 * KIB);
    CHECK(block != NULL);
    keep(block);
  }
  CHECK((before.waits == 0 && facts_now().refused == 0) || standing_in()); /* the large one still waits */
  CHECK(pthread_join(thread, NULL) == 0);
  return 0;
}
