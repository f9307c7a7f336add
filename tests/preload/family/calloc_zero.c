/* calloc gives zeroes also where the memory was used, dirtied, and freed before, at every size and after a trim. */
#include "../support/test.h"

enum { BLOCKS = 64 };

static void dirty_then_zero(size_t size) {
  void* blocks[BLOCKS];
  const int count = size < 100000 ? BLOCKS : 3;
  for (int i = 0; i < count; ++i) {
    blocks[i] = malloc(size);
    CHECK(blocks[i] != NULL);
    memset(blocks[i], 0xa5, malloc_usable_size(blocks[i]));
  }
  for (int i = 0; i < count; ++i) {
    free(blocks[i]);
  }
  for (int i = 0; i < count; ++i) {
    blocks[i] = i % 2 == 0 ? calloc(1, size) : calloc(size, 1);
    CHECK(blocks[i] != NULL && all_zero(blocks[i], size));
  }
  for (int i = 0; i < count; ++i) {
    free(blocks[i]);
  }
}

int main(void) {
  require_stealth();
  for (int round = 0; round < 3; ++round) {
    for (size_t size = 1; size < 2100; size += 7) {
      dirty_then_zero(size);
    }
    for (size_t size = 2048; size <= 16 * MIB; size = size * 5 / 4) {
      dirty_then_zero(size);
    }
    malloc_trim(0);
  }
  return 0;
}
