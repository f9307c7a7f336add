/* double_free SIZE BETWEEN: a block freed twice, so many other calls between. */
#include "../fault.h"

int main(int argc, char** argv) {
  require_stealth();
  CHECK(argc == 3);
  const size_t size = strtoul(argv[1], NULL, 10);
  void* block = malloc(size);
  accuse(block);
  free(block);
  for (int i = 0; i < atoi(argv[2]); ++i) {
    free(malloc(size));
  }
  free(block);
  return 0;
}
