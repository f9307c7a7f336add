/* write_after_free SIZE OFFSET: a freed block is written to, and its size used on. */
#include "../fault.h"

int main(int argc, char** argv) {
  require_stealth();
  CHECK(argc == 3);
  const size_t size = strtoul(argv[1], NULL, 10);
  void* block = malloc(size);
  accuse(block);
  free(block);
  write_byte(block, atoi(argv[2]), 1);
  go_round(size);
  return 0;
}
