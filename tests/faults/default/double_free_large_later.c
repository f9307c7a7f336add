/* A large block freed twice, with other large blocks allocated and freed between. */
#include "../fault.h"

int main(void) {
  require_stealth();
  void* block = malloc(4 * MIB);
  void* other = malloc(4 * MIB);
  accuse(block);
  free(block);
  free(malloc(8 * MIB));
  free(other);
  free(block);
  return 0;
}
