/* A block of a class with a max, which has no thread lists: each free takes the slow path, and sees the block at the
 * head of its slab's chain. */
#include "../fault.h"

int main(void) {
  require_stealth();
  void* block = malloc(4096);
  void* other = malloc(4096);
  accuse(block);
  free(block);
  free(block);
  keep(other);
  return 0;
}
