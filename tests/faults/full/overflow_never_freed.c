/* overflow_never_freed SIZE: what lies beyond the end of a block is written, and the block kept to the end. */
#include "../fault.h"

int main(int argc, char** argv) {
  require_stealth();
  const size_t size = argc == 2 ? strtoul(argv[1], NULL, 10) : 100;
  void* block = malloc(size);
  accuse(block);
  write_byte(block, (ptrdiff_t)size, 'x');
  keep(block);
  return 0;
}
