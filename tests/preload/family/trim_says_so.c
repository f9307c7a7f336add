/* malloc_trim returns 1 when it gave memory back and 0 when there was none to give, as its manual page says. */
#include "../support/test.h"

int main(void) {
  static void* blocks[64];
  require_stealth();
  for (int i = 0; i < 64; ++i) {
    blocks[i] = malloc(30 * KIB);
    CHECK(blocks[i] != NULL);
    memset(blocks[i], 1, 30 * KIB);
  }
  for (int i = 0; i < 64; ++i) {
    free(blocks[i]);
  }
  CHECK(malloc_trim(0) == 1);
  CHECK(malloc_trim(0) == 0);
  return 0;
}
