/* Prints whose a small block is: "ours" or "libc". For settings that take libstealth out of a program. */
#include "../support/test.h"

int main(void) {
  require_stealth();
  void* block = malloc(100);
  void* zeroed = calloc(10, 10);
  const int libc = served_by_libc(block);
  CHECK(served_by_libc(zeroed) == libc);
  block = realloc(block, 2000);
  CHECK(served_by_libc(block) == libc);
  free(block);
  free(zeroed);
  puts(libc ? "libc" : "ours");
  return 0;
}
