/* use_wrong realloc|usable_size inside|freed|freed_large|beyond|reserved: asks for the size of what is no allocation,
 * or wants it resized. */
#include "../fault.h"

int main(int argc, char** argv) {
  require_stealth();
  CHECK(argc == 3);
  char* block = malloc(strcmp(argv[2], "freed_large") == 0 ? MIB : 20000);
  if (strcmp(argv[2], "inside") == 0) {
    block += 8;
  } else if (strcmp(argv[2], "beyond") == 0) {
    block += 10 * 20480;
  } else if (strcmp(argv[2], "reserved") == 0) {
    block += 512 * MIB;
  } else {
    free(block);
  }
  accuse(block);
  if (strcmp(argv[1], "realloc") == 0) {
    keep(realloc(block, 19000));
  } else {
    opaque(malloc_usable_size(block));
  }
  return 0;
}
