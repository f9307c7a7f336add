/* A byte beyond the end of a block that has shrunk. */
#include "../fault.h"

int main(void) {
  require_stealth();
  char* block = malloc(1000);
  fill(block, 0, 1000, 1);
  block = realloc(block, 900);
  CHECK(holds(block, 0, 900, 1));
  accuse(block);
  write_byte(block, 900, 120); /* no canary is even */
  free(block);
  return 0;
}
