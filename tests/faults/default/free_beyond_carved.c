/* free_beyond_carved own|other: free of an address in a slab where a block will be, but none was handed out yet; by the
 * thread that owns the slab, which is seen when its list is given back, or by another. */
#include <pthread.h>

#include "../fault.h"

static void* free_it(void* never) {
  free(never);
  return NULL;
}

int main(int argc, char** argv) {
  pthread_t thread;
  require_stealth();
  char* never = (char*)malloc(20000) + 10 * 20480;
  accuse(never);
  if (argc == 2 && strcmp(argv[1], "own") == 0) {
    free(never);
    malloc_trim(0);
  } else {
    CHECK(pthread_create(&thread, NULL, free_it, never) == 0);
    pthread_join(thread, NULL);
  }
  return 0;
}
