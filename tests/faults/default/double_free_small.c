/* double_free_small N ROOM: a small block freed twice, with N others between. The thread's list has room for N + 1 +
 * ROOM blocks: the second free either finds it full, or the list leads back into itself then, which is found out when
 * it is given back. */
#include "../fault.h"

int main(int argc, char** argv) {
  void* others[64];
  CHECK(argc == 3);
  const int between = atoi(argv[1]), room = atoi(argv[2]);
  require_stealth();
  void* block = malloc(64);
  for (int i = 0; i < between + room; ++i) {
    others[i] = malloc(64);
  }
  accuse(block);
  free(block);
  for (int i = 0; i < between; ++i) {
    free(others[i]);
  }
  free(block);
  malloc_trim(0);
  return 0;
}
