/* free_inside_small_remote OFFSET: free of an address inside a small block by a thread that does not own it. */
#include <pthread.h>

#include "../fault.h"

static void* free_it(void* inside) {
  free(inside);
  return NULL;
}

int main(int argc, char** argv) {
  pthread_t thread;
  require_stealth();
  char* block = malloc(1000);
  char* inside = block + (argc == 2 ? atoi(argv[1]) : 8);
  accuse(inside);
  CHECK(pthread_create(&thread, NULL, free_it, inside) == 0);
  pthread_join(thread, NULL);
  malloc_trim(0); /* at the latest when the block comes home it is seen */
  return 0;
}
