/* double_free_remote N: a small block freed twice by a thread that does not own it, with N others between: what it has
 * collected of the slab begins, or ends, with the block. */
#include <pthread.h>

#include "../fault.h"

static void* blocks[8];
static int between;

static void* free_them(void* nothing) {
  free(blocks[0]);
  for (int i = 1; i <= between; ++i) {
    free(blocks[i]);
  }
  free(blocks[0]);
  return nothing;
}

int main(int argc, char** argv) {
  pthread_t thread;
  require_stealth();
  between = argc == 2 ? atoi(argv[1]) : 0;
  for (int i = 0; i <= between; ++i) {
    blocks[i] = malloc(64);
  }
  accuse(blocks[0]);
  CHECK(pthread_create(&thread, NULL, free_them, NULL) == 0);
  pthread_join(thread, NULL);
  return 0;
}
