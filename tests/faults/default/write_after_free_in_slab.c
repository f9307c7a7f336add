/* write_after_free_in_slab WHAT: a freed block's first bytes are overwritten when it is back in its slab; seen when the
 * slab's blocks are about to be handed out again. */
#include "../fault.h"

int main(int argc, char** argv) {
  static char* blocks[64];
  char *block = NULL, *next = NULL, *what = NULL;
  require_stealth();
  for (int i = 0; i < 64; ++i) {
    blocks[i] = malloc(1000);
  }
  for (int i = 32; next == NULL; ++i) { /* two of the same slab */
    CHECK(i < 63);
    if (address_of(blocks[i]) / (16 * KIB) == address_of(blocks[i + 1]) / (16 * KIB)) {
      block = blocks[i];
      next = blocks[i + 1];
    }
  }
  free(next);
  free(block);
  malloc_trim(0);
  accuse(block);
  CHECK(argc == 2);
  if (strcmp(argv[1], "text") == 0) {
    memcpy(&what, "Trust me", sizeof what);
  } else if (strcmp(argv[1], "inside") == 0) {
    what = next + 8;
  } else if (strcmp(argv[1], "other") == 0) {
    what = blocks[0];
  } else {
    CHECK(strcmp(argv[1], "zeros") == 0);
  }
  memcpy(block, &what, sizeof what);
  for (int i = 0; i < 64; ++i) {
    keep(malloc(1000));
  }
  return 0;
}
