/* A freed large block's first bytes are overwritten while it lies in its thread's list. */
#include "../fault.h"

int main(void) {
  require_stealth();
  char* block = malloc(100000);
  free(malloc(100000));
  keep(malloc(100000)); /* now the list holds one */
  accuse(block);
  free(block);
  memcpy(block, "Trust me", 8);
  malloc_trim(0);
  return 0;
}
