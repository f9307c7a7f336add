/* 400 MiB that nobody touches delay nobody at a capacity of 64 MiB: not those who take them, nor another thread that
 * takes 20 MiB and touches them. Once 40 MiB of the large blocks are touched they count: untouched
 * malloc|calloc COUNT, so many blocks. */
#include "capacity.h"

static void* take_some(void* unused) {
  for (int i = 0; i < 20 * 16; ++i) {
    keep(touched(16 * KIB));
    keep(touched(48 * KIB));
  }
  return unused;
}

int main(int argc, char** argv) {
  static char* large[400];
  pthread_t thread;
  require_stealth();
  CHECK(argc == 3);
  const int count = atoi(argv[2]);
  const size_t size = 400 * MIB / (size_t)count;
  const double begin = seconds_now();
  start_idle_thread();
  for (int i = 0; i < count; ++i) {
    large[i] = strcmp(argv[1], "calloc") == 0 ? calloc(1, size) : malloc(size);
    CHECK(large[i] != NULL);
  }
  const struct facts taken = facts_now();
  CHECK(pthread_create(&thread, NULL, take_some, NULL) == 0);
  CHECK(pthread_join(thread, NULL) == 0);
  const struct facts others = facts_now();
  printf("%llu waits and %llu grants, then %llu and %llu\n", taken.waits, taken.grants, others.waits, others.grants);
  CHECK(taken.waits == 0 && (taken.grants == 0 || size > 64 * MIB)); /* a block that can never fit may be granted */
  CHECK(others.waits == taken.waits && others.grants == taken.grants);
  CHECK(seconds_now() - begin < 60);
  for (size_t at = 0; at < 40 * MIB; at += 4 * KIB) {
    large[at / size][at % size] = 1;
  }
  for (int i = 0; i < 12; ++i) { /* there are 60 MiB now: some of these fit, or are admitted before it is noticed */
    keep(touched(MIB));
  }
  const struct facts facts = facts_now();
  printf("%llu waits and %llu grants\n", facts.waits, facts.grants);
  CHECK((facts.waits >= 4 && facts.grants >= 4) || standing_in());
  return 0;
}
