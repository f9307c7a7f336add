/* loop OPERATIONS EVERY: so many pairs of malloc and free of 64 bytes; each EVERYth block is read after its free. */
#include "../fault.h"

int main(int argc, char** argv) {
  CHECK(argc == 3);
  const long operations = strtol(argv[1], NULL, 10), every = strtol(argv[2], NULL, 10);
  int sum = 0;
  for (long i = 1; i <= operations; ++i) {
    void* block = malloc(64);
    keep(block);
    free(block);
    if (i % every == 0) {
      sum += read_byte(block, 9) & 1;
    }
  }
  return sum < 0;
}
