/* Memory that the program locked (mlock) cannot be dropped by madvise: calloc must still give zeroes when such memory
 * was freed and purged, or thought to be. */
#include <sys/mman.h>

#include "../support/test.h"

enum { SMALL = 2000, ROUNDS = 20 };

int main(void) {
  static void* small[SMALL];
  require_stealth();
  for (int round = 0; round < ROUNDS; ++round) {
    const size_t size = (size_t)(round % 4 + 1) * 512 * KIB;
    void* large = malloc(size);
    CHECK(large != NULL);
    CHECK(mlock(large, size) == 0); /* at most 2 MiB: within every usual limit */
    memset(large, 0xee, size);
    for (int i = 0; i < SMALL; ++i) {
      small[i] = malloc(700);
      CHECK(small[i] != NULL);
      memset(small[i], 0xdd, 700);
    }
    CHECK(mlock(small[SMALL / 2], 700) == 0);
    for (int i = 0; i < SMALL; ++i) {
      free(small[i]);
    }
    free(large);
    malloc_trim(0);
    large = calloc(1, size);
    CHECK(large != NULL && all_zero(large, size));
    for (int i = 0; i < SMALL; ++i) {
      small[i] = calloc(1, 700);
      CHECK(small[i] != NULL && all_zero(small[i], 700));
    }
    for (int i = 0; i < SMALL; ++i) {
      free(small[i]);
    }
    free(large);
    CHECK(munlockall() == 0);
  }
  return 0;
}
