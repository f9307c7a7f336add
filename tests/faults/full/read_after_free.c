/* read_after_free SIZE: what was in a freed block can no longer be read: zeros, or a fault. */
#include "../fault.h"

int main(int argc, char** argv) {
  require_stealth();
  CHECK(argc == 2);
  const size_t size = strtoul(argv[1], NULL, 10);
  char* block = malloc(size);
  fill(block, 0, size, 3);
  accuse(block);
  free(block);
  for (size_t i = 0; i < size; ++i) {
    CHECK(read_byte(block, (ptrdiff_t)i) == 0);
  }
  return 0;
}
