/* use_after_free usable_size|realloc SIZE: other calls about a freed block. */
#include "../fault.h"

int main(int argc, char** argv) {
  require_stealth();
  CHECK(argc == 3);
  const size_t size = strtoul(argv[2], NULL, 10);
  void* block = malloc(size);
  accuse(block);
  free(block);
  if (strcmp(argv[1], "realloc") == 0) {
    keep(realloc(block, size * 2));
  } else {
    printf("%zu\n", malloc_usable_size(block));
  }
  return 0;
}
