/* Threads that fork, threads that allocate with a stream's lock in hand (as getline does), and one that flushes all
 * streams: of these locks and malloc's, everybody must take his in the same order. A second of it. */
#include <pthread.h>
#include <stdatomic.h>
#include <sys/wait.h>

#include "../support/test.h"

enum { STREAMS = 4, FORKERS = 2 };
static atomic_int stop;

static void* forks(void* unused) {
  while (atomic_load(&stop) == 0) {
    int status = -1;
    const pid_t child = fork();
    CHECK(child >= 0);
    if (child == 0) {
      CHECK(fflush(NULL) == 0); /* nobody has a stream's lock there */
      free(malloc(70 * KIB));
      _exit(7);
    }
    CHECK(waitpid(child, &status, 0) == child && WIFEXITED(status) && WEXITSTATUS(status) == 7);
  }
  return unused;
}

static void* allocates_in_stream(void* unused) {
  FILE* stream = fopen("/dev/null", "w");
  CHECK(stream != NULL);
  while (atomic_load(&stop) == 0) {
    flockfile(stream);
    void* block = malloc(300 * KIB); /* above what is kept at hand: it takes a lock */
    CHECK(block != NULL);
    free(block);
    funlockfile(stream);
  }
  CHECK(fclose(stream) == 0);
  return unused;
}

static void* flushes(void* unused) {
  while (atomic_load(&stop) == 0) {
    CHECK(fflush(NULL) == 0);
  }
  return unused;
}

int main(void) {
  pthread_t threads[STREAMS + FORKERS + 1];
  int count = 0;
  require_stealth();
  alarm(100);
  for (int i = 0; i < STREAMS; ++i) {
    CHECK(pthread_create(&threads[count++], NULL, allocates_in_stream, NULL) == 0);
  }
  for (int i = 0; i < FORKERS; ++i) {
    CHECK(pthread_create(&threads[count++], NULL, forks, NULL) == 0);
  }
  CHECK(pthread_create(&threads[count++], NULL, flushes, NULL) == 0);
  usleep(1000000);
  atomic_store(&stop, 1);
  while (count > 0) {
    CHECK(pthread_join(threads[--count], NULL) == 0);
  }
  return 0;
}
