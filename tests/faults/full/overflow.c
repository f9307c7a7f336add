/* overflow SIZE OFFSET VALUE: a byte beyond the end of a block is written, and the block freed. */
#include "../fault.h"

int main(int argc, char** argv) {
  require_stealth();
  CHECK(argc == 4);
  const size_t size = strtoul(argv[1], NULL, 10);
  void* block = malloc(size);
  accuse(block);
  write_byte(block, (ptrdiff_t)size + atoi(argv[2]), atoi(argv[3]));
  free(block);
  return 0;
}
