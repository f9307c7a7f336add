/* Blocks of three kinds hold the memory when the policy ends the process. */
#include "capacity.h"

int main(void) {
  require_stealth();
  for (int i = 0; i < 50000; ++i) {
    keep(malloc(64));
  }
  for (int i = 0; i < 2000; ++i) {
    keep(malloc(1000));
  }
  fill_up_to(32 * MIB);
  printf("full\n");
  fflush(stdout);
  keep(malloc(4 * MIB));
  CHECK(standing_in());
  return 0;
}
