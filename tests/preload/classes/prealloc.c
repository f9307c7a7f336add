/* prealloc maps and touches its blocks before main: 500 of 64 KiB are resident, and taking them costs no fault. */
#include <sys/resource.h>

#include "../support/test.h"

enum { BLOCKS = 500 };

static long faults_so_far(void) {
  struct rusage usage;
  CHECK(getrusage(RUSAGE_SELF, &usage) == 0);
  return usage.ru_minflt;
}

int main(void) {
  static char *blocks[BLOCKS];
  require_stealth();
  CHECK(resident_bytes() > BLOCKS * 64 * KIB || standing_in());
  const long before = faults_so_far();
  for (int i = 0; i < BLOCKS; ++i) {
    blocks[i] = malloc(64 * KIB);
    CHECK(blocks[i] != NULL);
    memset(blocks[i], 1, 64 * KIB);
  }
  /* 500 blocks have 8,000 pages; side tables and the program itself may take a few. */
  CHECK(faults_so_far() - before < 500 || standing_in());
  return 0;
}
