/* Growth by 64 KiB, with a consumer that releases as much every 20 ms: from where on it is delayed depends on the soft
 * point: soft_point END LEAST MOST, in MiB: where growth ends, and what is held at the first wait; 0 0: there is none.
 */
#include "capacity.h"

static volatile int done, released;

static void* release(void* unused) {
  while (!done && filled > 0) {
    give_back(1);
    released = 1;
    sleep_ms(20);
  }
  return unused;
}

int main(int argc, char** argv) {
  pthread_t thread;
  size_t first = 0;
  require_stealth();
  CHECK(argc == 4);
  fill_up_to(10 * MIB);
  for (int i = 0; i < 100; ++i) { /* for the consumer, who begins with the newest ones */
    filling[filled++] = touched(64 * KIB);
  }
  CHECK(pthread_create(&thread, NULL, release, NULL) == 0);
  while (!released) {
    sleep_ms(1);
  }
  while (first == 0 && bytes_held() < strtoul(argv[1], NULL, 10) * MIB && !standing_in()) {
    keep(touched(64 * KIB));
    if (facts_now().waits > 0) {
      first = bytes_held();
    }
  }
  done = 1;
  CHECK(pthread_join(thread, NULL) == 0);
  printf("first wait at %zu KiB\n", first / KIB);
  if (!standing_in()) {
    CHECK(first >= strtoul(argv[2], NULL, 10) * MIB && first <= strtoul(argv[3], NULL, 10) * MIB);
  }
  return 0;
}
