/* A single thread goes over the capacity of 256 MiB, COUNT times by so many KiB: each time costs 1 ms for 64 KiB, more
 * the further it is over: lone_waits COUNT KIB. */
#include "capacity.h"

int main(int argc, char** argv) {
  require_stealth();
  CHECK(argc == 3);
  fill_up_to(256 * MIB);
  for (int i = 0; i < atoi(argv[1]); ++i) {
    void* block = malloc(strtoul(argv[2], NULL, 10) * KIB);
    CHECK(block != NULL);
    keep(block);
  }
  return 0;
}
