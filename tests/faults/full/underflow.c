/* underflow SIZE BYTES: a byte before a block is written, and the block freed; the first of its size, or a later one.
 */
#include "../fault.h"

int main(int argc, char** argv) {
  require_stealth();
  CHECK(argc == 3);
  const size_t size = strtoul(argv[1], NULL, 10);
  keep(malloc(size));
  void* block = malloc(size);
  accuse(block);
  write_byte(block, -atoi(argv[2]), 120); /* no canary is even */
  free(block);
  return 0;
}
