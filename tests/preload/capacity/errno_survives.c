/* A wait that ends well leaves errno as it was: fed by another thread, and in vain where the policy grants. */
#include "capacity.h"

static void* release_later(void* unused) {
  sleep_ms(100);
  give_back(2 * MIB);
  return unused;
}

int main(void) {
  pthread_t thread;
  require_stealth();
  fill_up_to(32 * MIB);
  CHECK(pthread_create(&thread, NULL, release_later, NULL) == 0);
  errno = EXDEV;
  for (int i = 0; i < 40; ++i) { /* the last ones after what was released is used up */
    keep(malloc(64 * KIB));
    CHECK(errno == EXDEV);
  }
  CHECK(pthread_join(thread, NULL) == 0);
  errno = EXDEV;
  keep(malloc(4 * MIB));
  CHECK(errno == EXDEV);
  const struct facts facts = facts_now();
  CHECK((facts.waits > 0 && facts.grants > 0) || standing_in());
  return 0;
}
