/* free_in_free_memory OFFSET: free of an address in our range that nothing was handed out from, near some that was. */
#include "../fault.h"

int main(int argc, char** argv) {
  require_stealth();
  char* block = malloc(16);
  char* nothing = block + MIB + (argc == 2 ? atoi(argv[1]) : 0);
  accuse(nothing);
  free(nothing);
  return 0;
}
