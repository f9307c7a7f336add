/* nothing read|write: what malloc(0) gives can be freed, and not touched. */
#include "../fault.h"

int main(int argc, char** argv) {
  require_stealth();
  CHECK(argc == 2);
  void* one = malloc(0);
  void* block = malloc(0);
  CHECK(one != NULL && block != NULL && one != block);
  free(one);
  accuse(block);
  if (strcmp(argv[1], "read") == 0) {
    return read_byte(block, 0);
  }
  write_byte(block, 0, 1);
  return 0;
}
