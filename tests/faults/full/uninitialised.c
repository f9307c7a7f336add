/* uninitialised SIZE: what nobody has written is neither zero nor what was there before. */
#include "../fault.h"

int main(int argc, char** argv) {
  require_stealth();
  CHECK(argc == 2);
  const size_t size = strtoul(argv[1], NULL, 10);
  for (int round = 0; round < 3000; ++round) {
    unsigned char* block = malloc(size);
    for (size_t i = 0; i < size; i += 97) {
      CHECK(block[i] == 0xA5);
    }
    memset(block, 'x', size);
    free(block);
  }
  unsigned char* zeroed = calloc(1, size);
  CHECK(all_zero(zeroed, size));
  free(zeroed);
  return 0;
}
