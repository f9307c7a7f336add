/* 250 forks while four threads are inside malloc, free and realloc of all sizes. Each child allocates, frees blocks of
 * its parent's threads, runs a thread of its own, and ends by exit or _exit; a lock that was copied while held, or a
 * list that was copied half linked, hangs or crashes it. */
#include <pthread.h>
#include <stdatomic.h>
#include <sys/wait.h>

#include "../support/stamp.h"

enum { THREADS = 4, FORKS = 250, SHARED = 256 };
static atomic_int stop;
static _Atomic(void*) shared[SHARED]; /* blocks of 200 bytes that wander between the threads */

static size_t some_size(uint64_t* state) {
  const size_t kind = random_below(state, 100);
  return 1 + random_below(state, kind < 80 ? 600 : kind < 95 ? 40 * KIB : 600 * KIB);
}

static void exchange(uint64_t* state) {
  void* block = malloc(200);
  CHECK(block != NULL);
  stamp(block, 200, 200);
  block = atomic_exchange(&shared[random_below(state, SHARED)], block);
  CHECK(block == NULL || stamp_kept(block, 200, 200, 200));
  free(block);
}

static void* busy(void* number) {
  uint64_t state = 99 + (uint64_t)(uintptr_t)number;
  void* own[64] = {0};
  while (atomic_load(&stop) == 0) {
    const size_t place = random_below(&state, 64);
    own[place] = random_below(&state, 2) == 0 ? (free(own[place]), malloc(some_size(&state)))
                                              : realloc(own[place], some_size(&state));
    CHECK(own[place] != NULL);
    exchange(&state);
  }
  for (int i = 0; i < 64; ++i) {
    free(own[i]);
  }
  return NULL;
}

static void* a_little(void* unused) {
  uint64_t state = 3;
  for (int i = 0; i < 200; ++i) {
    free(malloc(some_size(&state)));
    exchange(&state);
  }
  return unused;
}

static void be_child(int number, unsigned char* mine, size_t size) {
  pthread_t thread;
  uint64_t state = (uint64_t)number + 1;
  alarm(120);
  CHECK(stamp_kept(mine, size, size, 5));
  mine = realloc(mine, size * 2);
  CHECK(mine != NULL && stamp_kept(mine, size, size, 5));
  for (int i = 0; i < SHARED; ++i) {
    void* block = atomic_exchange(&shared[i], NULL);
    CHECK(block == NULL || stamp_kept(block, 200, 200, 200));
    free(block);
  }
  for (int i = 0; i < 300; ++i) {
    void* block = malloc(some_size(&state));
    CHECK(block != NULL);
    free(block);
  }
  CHECK(pthread_create(&thread, NULL, a_little, NULL) == 0);
  CHECK(pthread_join(thread, NULL) == 0);
  malloc_trim(0);
  free(mine);
  if (number % 2 == 0) {
    exit(0);
  }
  _exit(0);
}

int main(void) {
  pthread_t threads[THREADS];
  uint64_t state = 17;
  require_stealth();
  for (int i = 0; i < THREADS; ++i) {
    CHECK(pthread_create(&threads[i], NULL, busy, (void*)(uintptr_t)i) == 0);
  }
  for (int i = 0; i < FORKS; ++i) {
    int status = 0;
    const size_t size = 10 + some_size(&state);
    unsigned char* mine = malloc(size);
    stamp(mine, size, 5);
    const pid_t child = fork();
    CHECK(child >= 0);
    if (child == 0) {
      be_child(i, mine, size);
    }
    CHECK(waitpid(child, &status, 0) == child);
    CHECK(WIFEXITED(status) && WEXITSTATUS(status) == 0);
    CHECK(stamp_kept(mine, size, size, 5)); /* the child's writes are the child's */
    free(mine);
  }
  atomic_store(&stop, 1);
  for (int i = 0; i < THREADS; ++i) {
    CHECK(pthread_join(threads[i], NULL) == 0);
  }
  return 0;
}
