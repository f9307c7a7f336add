/* What malloc_usable_size says may be written in whole, however the block was made, and reaches no neighbour. */
#include "../support/test.h"

enum { BLOCKS = 6 };

static void try_size(size_t size) {
  void* blocks[BLOCKS];
  size_t usable[BLOCKS];
  blocks[0] = malloc(size);
  blocks[1] = calloc(size, 1);
  blocks[2] = realloc(NULL, size);
  blocks[3] = memalign(64, size);
  blocks[4] = valloc(size);
  blocks[5] = realloc(malloc(size / 2 + 1), size > 0 ? size : 1);
  for (unsigned i = 0; i < BLOCKS; ++i) {
    CHECK(blocks[i] != NULL);
    usable[i] = malloc_usable_size(blocks[i]);
    CHECK(usable[i] >= size);
    fill(blocks[i], 0, usable[i], i);
  }
  for (unsigned i = 0; i < BLOCKS; ++i) {
    CHECK(malloc_usable_size(blocks[i]) == usable[i]);
    CHECK(holds(blocks[i], 0, usable[i], i));
    free(blocks[i]);
  }
}

int main(void) {
  require_stealth();
  CHECK(malloc_usable_size(NULL) == 0);
  for (size_t size = 0; size < 5000; ++size) {
    try_size(size);
  }
  for (size_t size = 5000; size < 3 * MIB; size += size / 9) {
    try_size(size);
  }
  return 0;
}
