/* A freed block of a class with a max is overwritten: seen when it is about to be handed out again. */
#include "../fault.h"

int main(void) {
  require_stealth();
  char* block = malloc(4096);
  char* other = malloc(4096);
  accuse(block);
  free(block);
  memcpy(block, "Trust me", 8);
  keep(malloc(4096));
  keep(other);
  return 0;
}
