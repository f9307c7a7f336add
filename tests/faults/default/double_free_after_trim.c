/* A small block freed again when its slab went back already. */
#include "../fault.h"

int main(void) {
  static void* blocks[20000];
  require_stealth();
  for (int i = 0; i < 20000; ++i) {
    blocks[i] = malloc(1000);
  }
  accuse(blocks[10000]);
  for (int i = 0; i < 20000; ++i) {
    free(blocks[i]);
  }
  malloc_trim(0);
  free(blocks[10000]);
  return 0;
}
