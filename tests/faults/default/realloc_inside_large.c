/* realloc of an address inside a large block. */
#include "../fault.h"

int main(void) {
  require_stealth();
  char* inside = (char*)malloc(MIB) + 64 * KIB;
  accuse(inside);
  keep(realloc(inside, 2 * MIB));
  return 0;
}
