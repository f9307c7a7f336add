/* malloc_info prints an XML document, also with threads alive; any option but 0 is refused. The runner parses it. */
#include <pthread.h>

#include "../support/test.h"

static void* hold_a_little(void* unused) {
  free(malloc(100));
  return unused;
}

int main(void) {
  pthread_t thread;
  require_stealth();
  keep(malloc(100));
  keep(malloc(3 * MIB));
  CHECK(pthread_create(&thread, NULL, hold_a_little, NULL) == 0);
  CHECK(malloc_info(0, stdout) == 0);
  errno = 0;
  const int refused = malloc_info(1, stdout);
  CHECK(refused == EINVAL || (refused == -1 && errno == EINVAL));
  pthread_join(thread, NULL);
  return 0;
}
