/* exit() while four threads allocate and free: the exit statistics are written over a heap that does not stand still.
 * Forty children, each of which must end with its own status in time. */
#include <pthread.h>
#include <sys/wait.h>

#include "../support/test.h"

static void* busy(void* number) {
  uint64_t state = 1 + (uint64_t)(uintptr_t)number;
  static _Thread_local void* blocks[100];
  for (;;) {
    const size_t place = random_below(&state, 100);
    free(blocks[place]);
    blocks[place] = malloc(1 + random_below(&state, random_below(&state, 20) == 0 ? MIB : 2000));
    CHECK(blocks[place] != NULL);
  }
  return NULL;
}

int main(void) {
  require_stealth();
  for (int i = 0; i < 40; ++i) {
    int status = 0;
    const pid_t child = fork();
    CHECK(child >= 0);
    if (child == 0) {
      alarm(120);
      for (int j = 0; j < 4; ++j) {
        pthread_t thread;
        CHECK(pthread_create(&thread, NULL, busy, (void*)(uintptr_t)j) == 0);
      }
      usleep((unsigned)i * 1000);
      exit(i);
    }
    CHECK(waitpid(child, &status, 0) == child);
    CHECK(WIFEXITED(status) && WEXITSTATUS(status) == i);
  }
  return 0;
}
