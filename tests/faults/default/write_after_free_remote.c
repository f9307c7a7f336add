/* write_after_free_remote OFFSET: a thread writes to a block of another one's that it has freed and that is on its way
 * home; seen when the owner takes it in. */
#include <pthread.h>

#include "../fault.h"

static char* blocks[2];
static int offset;

static void* free_and_write(void* nothing) {
  free(blocks[0]);
  free(blocks[1]); /* of blocks as large as that only one is held back */
  memcpy(blocks[0] + offset, "Trust me", 8);
  return nothing;
}

int main(int argc, char** argv) {
  pthread_t thread;
  require_stealth();
  offset = argc == 2 ? atoi(argv[1]) : 0;
  blocks[0] = malloc(32 * KIB);
  blocks[1] = malloc(32 * KIB);
  accuse(blocks[0]);
  CHECK(pthread_create(&thread, NULL, free_and_write, NULL) == 0);
  pthread_join(thread, NULL);
  malloc_trim(0);
  return 0;
}
