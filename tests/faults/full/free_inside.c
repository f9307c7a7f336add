/* free_inside SIZE OFFSET: free of an address inside a block, or beyond it. */
#include "../fault.h"

int main(int argc, char** argv) {
  require_stealth();
  CHECK(argc == 3);
  char* block = malloc(strtoul(argv[1], NULL, 10));
  keep(malloc(strtoul(argv[1], NULL, 10)));
  accuse(block + atoi(argv[2]));
  free(block + atoi(argv[2]));
  return 0;
}
