/* Blocks wander between pooled sizes and those of the next allocator by realloc, and back, and keep their contents:
 * run with STEALTH_CLASSES that leave gaps. */
#include "../support/test.h"

int main(void) {
  uint64_t state = 5;
  static unsigned char* blocks[100];
  static size_t sizes[100];
  require_stealth();
  for (int i = 0; i < 100000; ++i) {
    const size_t which = random_below(&state, 100);
    const size_t size = 1 + random_below(&state, 1U << random_below(&state, 14));
    if (random_below(&state, 4) == 0) { /* a block that went to the next allocator stays there until it is freed */
      free(blocks[which]);
      blocks[which] = NULL;
      sizes[which] = 0;
    }
    unsigned char* block = realloc(blocks[which], size);
    CHECK(block != NULL && malloc_usable_size(block) >= size);
    CHECK(holds(block, 0, size < sizes[which] ? size : sizes[which], (unsigned)which));
    fill(block, 0, size, (unsigned)which);
    blocks[which] = block;
    sizes[which] = size;
  }
  for (int i = 0; i < 100; ++i) {
    CHECK(malloc_usable_size(blocks[i]) >= sizes[i]);
    free(blocks[i]);
  }
  return 0;
}
