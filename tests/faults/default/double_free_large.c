/* A large block freed twice. */
#include "../fault.h"

int main(void) {
  require_stealth();
  void* block = malloc(MIB);
  accuse(block);
  free(block);
  free(block);
  return 0;
}
