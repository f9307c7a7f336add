/* A byte beyond the end of a zeroed array. */
#include "../fault.h"

int main(void) {
  require_stealth();
  void* block = calloc(5, 20);
  CHECK(all_zero(block, 100));
  accuse(block);
  write_byte(block, 100, 120); /* no canary is even */
  free(block);
  return 0;
}
