/* The program that settings are tried on: it uses a little memory of several sizes, and says so. */
#include "../support/test.h"

int main(void) {
  require_stealth();
  for (size_t size = 8; size < 8 * MIB; size *= 3) {
    char* block = malloc(size);
    CHECK(block != NULL);
    memset(block, 1, size);
    block = realloc(block, size * 2);
    CHECK(block != NULL && block[size - 1] == 1);
    free(block);
  }
  puts("works");
  return 0;
}
