/* malloc_stats writes to stderr, and only there. The runner looks at what. */
#include "../support/test.h"

int main(void) {
  require_stealth();
  keep(malloc(100));
  malloc_stats();
  return 0;
}
