/* Blocks that the C library gave by itself (getline, strdup and the like do within libc only through malloc, but older
 * blocks and other heaps exist): free, realloc and malloc_usable_size hand them on to their owner by address. */
#include "../support/test.h"

extern void* __libc_malloc(size_t);
extern void* __libc_memalign(size_t, size_t);

int main(void) {
  require_stealth();
  const size_t before = resident_bytes();
  for (int i = 0; i < 2000; ++i) {
    for (size_t size = 24; size < 2 * MIB; size *= 5) {
      unsigned char* block = __libc_malloc(size);
      CHECK(block != NULL && malloc_usable_size(block) >= size);
      block[0] = 1;
      block[size - 1] = 2;
      if (i % 2 == 0) {
        block = realloc(block, size + 5000);
        CHECK(block != NULL && block[0] == 1 && block[size - 1] == 2);
        CHECK(malloc_usable_size(block) >= size + 5000);
      }
      if (i % 3 == 0) {
        CHECK(realloc(block, opaque(0)) == NULL);
      } else {
        free(block);
      }
    }
    free(__libc_memalign(4096, 100));
  }
  CHECK(resident_bytes() < before + 32 * MIB);
  return 0;
}
