/* Sixteen bytes at every size, as glibc gives: programs keep long double and SSE values in small blocks. */
#include "../support/test.h"

int main(void) {
  require_stealth();
  for (size_t size = 0; size <= 100000; ++size) {
    void* block = malloc(size);
    void* zeroed = calloc(1, size);
    CHECK(block != NULL && aligned_to(block, 16));
    CHECK(zeroed != NULL && aligned_to(zeroed, 16));
    CHECK(block != zeroed);
    block = realloc(block, size + 1);
    CHECK(block != NULL && aligned_to(block, 16));
    free(block);
    free(zeroed);
  }
  return 0;
}
