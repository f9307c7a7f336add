/* free_inside_large OFFSET: free of an address inside a large block. */
#include "../fault.h"

int main(int argc, char** argv) {
  require_stealth();
  char* block = malloc(MIB);
  char* inside = block + (argc == 2 ? atoi(argv[1]) : 1);
  accuse(inside);
  free(inside);
  return 0;
}
