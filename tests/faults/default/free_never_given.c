/* free of an address in our range that no block was ever cut from. */
#include "../fault.h"

int main(void) {
  require_stealth();
  char* block = malloc(MIB);
  char* never = block + 512 * MIB; /* the reservation is far larger, and nothing else uses it */
  accuse(never);
  free(never);
  return 0;
}
