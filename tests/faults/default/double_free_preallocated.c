/* A block of a class with prealloc, freed twice with another one between: no block of its slab is out any more, and the
 * slab is kept all the same. (Not of 4 KiB: stdio has one of those.) */
#include "../fault.h"

int main(void) {
  require_stealth();
  void* block = malloc(8192);
  void* other = malloc(8192);
  accuse(block);
  free(block);
  free(other);
  free(block);
  return 0;
}
