/* double_free_elsewhere SIZE: freed by another thread, and by its own. */
#include <pthread.h>

#include "../fault.h"

static void* free_it(void* block) {
  free(block);
  return NULL;
}

int main(int argc, char** argv) {
  pthread_t thread;
  require_stealth();
  CHECK(argc == 2);
  void* block = malloc(strtoul(argv[1], NULL, 10));
  accuse(block);
  CHECK(pthread_create(&thread, NULL, free_it, block) == 0);
  pthread_join(thread, NULL);
  free(block);
  return 0;
}
