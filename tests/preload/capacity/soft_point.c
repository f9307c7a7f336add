/* Growth by 512 KiB, and after each step a consumer releases 64: from where on it is delayed depends on the soft point:
 * soft_point END LEAST MOST, in MiB: where growth ends, and what is held at the first wait; 0 0: there is none. */
#include "capacity.h"

static volatile int done, wanted, released;

static void* release(void* unused) {
  while (!done) {
    if (released < wanted) {
      give_back(1);
      ++released;
    }
    sleep_ms(1);
  }
  return unused;
}

int main(int argc, char** argv) {
  pthread_t thread;
  size_t first = 0;
  require_stealth();
  CHECK(argc == 4);
  fill_up_to(10 * MIB);
  for (int i = 0; i < 200; ++i) { /* for the consumer, who begins with the newest ones */
    filling[filled++] = touched(64 * KIB);
  }
  CHECK(pthread_create(&thread, NULL, release, NULL) == 0);
  while (first == 0 && bytes_held() < strtoul(argv[1], NULL, 10) * MIB && !standing_in()) {
    ++wanted;
    while (released < wanted) { /* only where somebody releases something a delay is worth while */
      sleep_ms(1);
    }
    keep(touched(512 * KIB));
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
