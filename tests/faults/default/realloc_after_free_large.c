/* realloc of a large block that was freed. */
#include "../fault.h"

int main(void) {
  require_stealth();
  void* block = malloc(MIB);
  accuse(block);
  free(block);
  keep(realloc(block, 3 * MIB));
  return 0;
}
