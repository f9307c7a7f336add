/* mallinfo2 and mallinfo follow what the program holds, in small blocks and in large ones, and fall when it is freed.
 * As glibc counts: in use is uordblks (of the arena's bytes) plus hblkhd (what is mapped for itself). */
#include "../support/test.h"

enum { SMALL = 20000, LARGE = 16 };

static size_t used(void) {
  const struct mallinfo2 info = mallinfo2();
  CHECK(info.arena >= info.uordblks);
  return info.uordblks + info.hblkhd;
}

int main(void) {
  static void *small[SMALL], *large[LARGE];
  require_stealth();
  free(malloc(1));
  const size_t before = used();
  for (int i = 0; i < SMALL; ++i) {
    small[i] = malloc(1000);
  }
  const size_t with_small = used();
  CHECK(with_small > before + 18 * MIB && with_small < before + 32 * MIB);
  for (int i = 0; i < LARGE; ++i) {
    large[i] = malloc(2 * MIB);
  }
  const size_t with_large = used();
  CHECK(with_large > with_small + 31 * MIB && with_large < with_small + 48 * MIB);
#pragma GCC diagnostic push
#pragma GCC diagnostic ignored "-Wdeprecated-declarations"
  const struct mallinfo old = mallinfo();
#pragma GCC diagnostic pop
  const struct mallinfo2 new = mallinfo2();
  CHECK((size_t)old.uordblks == new.uordblks && (size_t)old.arena == new.arena && (size_t)old.hblkhd == new.hblkhd);
  for (int i = 0; i < SMALL; ++i) {
    free(small[i]);
  }
  for (int i = 0; i < LARGE; ++i) {
    free(large[i]);
  }
  malloc_trim(0);
  CHECK(used() < before + 4 * MIB);
  return 0;
}
