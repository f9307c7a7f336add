/* write_after_free_in_list own|ended: a freed block's first bytes are overwritten while it lies in its thread's list;
 * seen when the list is given back, by the thread or, when it has ended, by another. */
#include <pthread.h>

#include "../fault.h"

static void* free_and_write(void* nothing) {
  char* block = malloc(1000);
  accuse(block);
  free(block);
  memcpy(block, "Trust me", 8);
  return nothing;
}

int main(int argc, char** argv) {
  pthread_t thread;
  require_stealth();
  if (argc == 2 && strcmp(argv[1], "own") == 0) {
    free_and_write(NULL);
  } else {
    CHECK(pthread_create(&thread, NULL, free_and_write, NULL) == 0);
    pthread_join(thread, NULL);
  }
  malloc_trim(0);
  return 0;
}
