/* Another program of the group: holds so many MiB for so many milliseconds, and ends: hold_for MIB MS. */
#include "../support/test.h"

int main(int argc, char** argv) {
  CHECK(argc == 3);
  const size_t size = strtoul(argv[1], NULL, 10) * MIB;
  void* block = malloc(size);
  CHECK(block != NULL);
  memset(block, 1, size);
  keep(block);
  printf("ready\n");
  fflush(stdout);
  usleep((useconds_t)atoi(argv[2]) * 1000);
  return 0;
}
