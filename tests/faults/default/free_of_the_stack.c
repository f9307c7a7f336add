/* An address of the stack is not ours: it goes on to the C library, which knows what to say. */
#include "../fault.h"

int main(void) {
  char local[64] __attribute__((aligned(16))) = {0};
  require_stealth();
  char* address = local + 16;
  keep(&address);
  free(address);
  return 0;
}
