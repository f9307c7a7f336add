/* double_free_small N: a small block freed twice, with N others between. Both go into the thread's list, which then
 * leads back into itself, and is found out when it is given back. */
#include "../fault.h"

int main(int argc, char** argv) {
  void* others[8];
  const int between = argc == 2 ? atoi(argv[1]) : 0;
  require_stealth();
  void* block = malloc(64);
  for (int i = 0; i < between; ++i) {
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
