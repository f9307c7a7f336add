/* memalign and its kin for every power of two up to 32 MiB, at sizes around the alignment; the whole block is usable,
 * neighbours are left alone, and free and realloc take it back. */
#include "../support/test.h"

enum { HELD = 4 };

static void* take(int way, size_t alignment, size_t size) {
  void* block = NULL;
  switch (way) {
    case 0:
      return memalign(alignment, size);
    case 1:
      return aligned_alloc(alignment, size);
    default:
      CHECK(posix_memalign(&block, alignment, size) == 0);
      return block;
  }
}

static void try_size(size_t alignment, size_t size) {
  unsigned char* blocks[HELD];
  for (int i = 0; i < HELD; ++i) {
    blocks[i] = take(i % 3, alignment, size);
    CHECK(blocks[i] != NULL && aligned_to(blocks[i], alignment));
    CHECK(malloc_usable_size(blocks[i]) >= size);
    /* The ends are enough to see an overlap, and keep 32 MiB blocks quick. */
    fill(blocks[i], 0, size < 64 ? size : 64, (unsigned)i);
    if (size > 64) {
      fill(blocks[i], size - 64, size, (unsigned)i);
    }
  }
  for (int i = 0; i < HELD; ++i) {
    CHECK(holds(blocks[i], 0, size < 64 ? size : 64, (unsigned)i));
    CHECK(size <= 64 || holds(blocks[i], size - 64, size, (unsigned)i));
  }
  blocks[0] = realloc(blocks[0], size + 100);
  CHECK(blocks[0] != NULL && holds(blocks[0], 0, size < 64 ? size : 64, 0));
  for (int i = 0; i < HELD; ++i) {
    free(blocks[i]);
  }
}

int main(void) {
  require_stealth();
  for (size_t alignment = sizeof(void*); alignment <= 32 * MIB; alignment *= 2) {
    const size_t sizes[] = {1, 24, alignment - 1, alignment, alignment + 1, 3 * alignment / 2, 5000, 70000};
    for (size_t i = 0; i < sizeof sizes / sizeof sizes[0]; ++i) {
      try_size(alignment, sizes[i]);
    }
  }
  return 0;
}
