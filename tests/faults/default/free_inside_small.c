/* free_inside_small OFFSET: free of an address inside a small block by the thread that owns it: seen when the thread's
 * list is given back. */
#include "../fault.h"

int main(int argc, char** argv) {
  require_stealth();
  char* inside = (char*)malloc(1000) + (argc == 2 ? atoi(argv[1]) : 8);
  accuse(inside);
  free(inside);
  malloc_trim(0);
  return 0;
}
