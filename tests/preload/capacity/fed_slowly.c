/* One thread waits for 4 MiB; another one releases 64 KiB every 60 ms, so that it takes four seconds until they are
 * there. Somebody releases something all the time: with a patience, or a budget, of a second the wait goes on, and is
 * served. */
#include "capacity.h"

static void* release(void* unused) {
  for (int i = 0; i < 80; ++i) {
    sleep_ms(60);
    give_back(1);
  }
  return unused;
}

int main(void) {
  pthread_t thread;
  require_stealth();
  fill_up_to(24 * MIB);
  while (!standing_in() && bytes_held() + 256 * KIB < 32 * MIB) {
    filling[filled++] = touched(64 * KIB);
  }
  CHECK(pthread_create(&thread, NULL, release, NULL) == 0);
  const double begin = seconds_now();
  void* block = malloc(4 * MIB);
  const double took = seconds_now() - begin;
  printf("%s after %.3f s\n", block == NULL ? "refused" : "served", took);
  fflush(stdout);
  CHECK(block != NULL);
  CHECK((took > 3 && took < 60) || standing_in());
  CHECK(pthread_join(thread, NULL) == 0);
  return 0;
}
