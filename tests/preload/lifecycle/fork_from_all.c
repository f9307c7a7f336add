/* Four threads fork at the same time, again and again, while others allocate, take locks and are cancelled. Children
 * run threads of their own and fork once more; every one of them ends with its own status. */
#include <pthread.h>
#include <stdatomic.h>
#include <sys/wait.h>

#include "../support/stamp.h"

enum { FORKERS = 4, BUSY = 3, FORKS = 15, HELD = 40 };
static atomic_int forking = FORKERS;
static pthread_mutex_t mutex = PTHREAD_MUTEX_INITIALIZER;
static void* handed_on; /* between busy threads, with the mutex held */

static size_t some_size(uint64_t* state) {
  const size_t kind = random_below(state, 100);
  return 1 + random_below(state, kind < 80 ? 900 : kind < 96 ? 40 * KIB : 700 * KIB);
}

static void hand_on(void* block) {
  pthread_mutex_lock(&mutex);
  void* other = handed_on;
  handed_on = block;
  pthread_mutex_unlock(&mutex);
  free(other);
}

struct holding {
  void* blocks[HELD];
};

static void free_all(void* given) {
  struct holding* held = given;
  for (int i = 0; i < HELD; ++i) {
    free(held->blocks[i]);
  }
}

/* Ends when it is cancelled. */
static void* busy(void* number) {
  static _Thread_local uint64_t state;
  state = 7 + (uint64_t)(uintptr_t)number;
  struct holding held = {{0}};
  pthread_cleanup_push(free_all, &held);
  for (;;) {
    const size_t place = random_below(&state, HELD);
    free(held.blocks[place]);
    held.blocks[place] = malloc(some_size(&state));
    CHECK(held.blocks[place] != NULL);
    hand_on(malloc(100));
    pthread_testcancel();
  }
  pthread_cleanup_pop(1);
  return NULL;
}

static void* a_little(void* number) {
  uint64_t state = 3 + (uint64_t)(uintptr_t)number;
  for (int i = 0; i < 100; ++i) {
    void* block = malloc(some_size(&state));
    CHECK(block != NULL);
    free(block);
  }
  return NULL;
}

static void expect_end(pid_t child, int expected) {
  int status = 0;
  CHECK(child > 0 && waitpid(child, &status, 0) == child);
  CHECK(WIFEXITED(status) && WEXITSTATUS(status) == expected);
}

static void be_child(uintptr_t number, int round) {
  pthread_t threads[2];
  alarm(120);
  for (uintptr_t i = 0; i < 2; ++i) {
    CHECK(pthread_create(&threads[i], NULL, a_little, (void*)i) == 0);
  }
  if (round % 3 == 0) {
    const pid_t child = fork(); /* of a process with three threads */
    if (child == 0) {
      a_little(NULL);
      _exit(7);
    }
    expect_end(child, 7);
  }
  for (int i = 0; i < 2; ++i) {
    CHECK(pthread_join(threads[i], NULL) == 0);
  }
  if (round % 2 == 0) {
    exit((int)number * 20 + round);
  }
  _exit((int)number * 20 + round);
}

static void* fork_often(void* given) {
  const uintptr_t number = (uintptr_t)given;
  uint64_t state = 100 + number;
  for (int round = 0; round < FORKS; ++round) {
    const size_t size = some_size(&state);
    void* block = malloc(size);
    CHECK(block != NULL);
    stamp(block, size, (unsigned)round);
    const pid_t child = fork();
    CHECK(child >= 0);
    if (child == 0) {
      CHECK(stamp_kept(block, size, size, (unsigned)round));
      free(block);
      be_child(number, round);
    }
    a_little(given);
    expect_end(child, (int)number * 20 + round);
    CHECK(stamp_kept(block, size, size, (unsigned)round));
    free(block);
  }
  atomic_fetch_sub(&forking, 1);
  return NULL;
}

int main(void) {
  pthread_t forkers[FORKERS], others[BUSY];
  require_stealth();
  for (uintptr_t i = 0; i < BUSY; ++i) {
    CHECK(pthread_create(&others[i], NULL, busy, (void*)i) == 0);
  }
  for (uintptr_t i = 0; i < FORKERS; ++i) {
    CHECK(pthread_create(&forkers[i], NULL, fork_often, (void*)i) == 0);
  }
  for (uintptr_t next = 0; atomic_load(&forking) > 0; next = (next + 1) % BUSY) {
    CHECK(pthread_cancel(others[next]) == 0 && pthread_join(others[next], NULL) == 0);
    CHECK(pthread_create(&others[next], NULL, busy, (void*)next) == 0);
    usleep(2000);
  }
  for (int i = 0; i < FORKERS; ++i) {
    CHECK(pthread_join(forkers[i], NULL) == 0);
  }
  for (int i = 0; i < BUSY; ++i) {
    CHECK(pthread_cancel(others[i]) == 0 && pthread_join(others[i], NULL) == 0);
  }
  return 0;
}
