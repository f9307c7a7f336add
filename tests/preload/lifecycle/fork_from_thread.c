/* A thread that is not the first one forks: in the child it is the only thread, and the blocks of the others are its.
 */
#include <pthread.h>
#include <sys/wait.h>

#include "../support/stamp.h"

static void* blocks[1000];

static void* fork_here(void* unused) {
  for (int round = 0; round < 20; ++round) {
    int status = 0;
    const pid_t child = fork();
    CHECK(child >= 0);
    if (child == 0) {
      alarm(120);
      for (unsigned i = 0; i < 1000; ++i) {
        CHECK(stamp_kept(blocks[i], i + 1, i + 1, i));
        free(blocks[i]);
        CHECK(malloc(i + 1) != NULL);
      }
      exit(0);
    }
    CHECK(waitpid(child, &status, 0) == child && status == 0);
  }
  return unused;
}

int main(void) {
  pthread_t thread;
  require_stealth();
  for (unsigned i = 0; i < 1000; ++i) {
    blocks[i] = malloc(i + 1);
    stamp(blocks[i], i + 1, i);
  }
  CHECK(pthread_create(&thread, NULL, fork_here, NULL) == 0);
  CHECK(pthread_join(thread, NULL) == 0);
  return 0;
}
