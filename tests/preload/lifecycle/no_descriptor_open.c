/* Started with no descriptor open: the program's first three files get 0, 1 and 2 as they would without us, so we hold
 * none; and everything works. Faults show in the exit status alone. */
#include <pthread.h>

#include "../support/test.h"

static void* work(void* unused) {
  free(malloc(1000));
  free(malloc(3 * MIB));
  return unused;
}

int main(void) {
  pthread_t thread;
  require_stealth();
  for (int expected = 0; expected < 3; ++expected) {
    free(malloc(5 * MIB));
    CHECK(pthread_create(&thread, NULL, work, NULL) == 0);
    CHECK(pthread_join(thread, NULL) == 0);
    malloc_trim(0);
    CHECK(open("/dev/null", O_RDWR) == expected);
  }
  return 0;
}
