/* A large block freed twice, of a size that the thread keeps a list of. */
#include "../fault.h"

int main(void) {
  require_stealth();
  void* block = malloc(100000);
  free(malloc(100000));
  keep(malloc(100000)); /* now the list holds one */
  accuse(block);
  free(block);
  free(block);
  return 0;
}
