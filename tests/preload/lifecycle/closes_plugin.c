/* A plugin with handlers (handlers_plugin.c) is opened, used, and closed, thirty times, with forks while it is there
 * and when it is gone: nothing of it is called any more, and what it gave out lives on. */
#include <pthread.h>
#include <sys/wait.h>

#include "../support/test.h"

typedef void* worker(void);
enum { ROUNDS = 30, LARGE = 40 };

static worker* work;
static pthread_barrier_t worked, closed;

/* Has used the plugin, and ends after it is gone. */
static void* outlives_it(void* unused) {
  (void)unused;
  unsigned char* block = work();
  pthread_barrier_wait(&worked);
  pthread_barrier_wait(&closed);
  CHECK(block[149] == 7);
  return block;
}

static void* ends_before(void* unused) {
  (void)unused;
  return work();
}

static void fork_once(int ends_with_handlers) {
  int status = -1;
  const pid_t child = fork();
  CHECK(child >= 0);
  if (child == 0) {
    alarm(120);
    free(malloc(100 * KIB));
    if (ends_with_handlers) {
      exit(0);
    }
    _exit(0);
  }
  CHECK(waitpid(child, &status, 0) == child && WIFEXITED(status) && WEXITSTATUS(status) == 0);
}

/* More than the capacity, for a moment: the plugin is called. */
static void run_short(void) {
  static void* blocks[LARGE];
  for (int i = 0; i < LARGE; ++i) {
    blocks[i] = malloc(MIB);
    CHECK(blocks[i] != NULL);
    memset(blocks[i], 1, MIB);
  }
  for (int i = 0; i < LARGE; ++i) {
    free(blocks[i]);
  }
}

int main(int argc, char** argv) {
  static unsigned char* left[ROUNDS][2];
  require_stealth();
  CHECK(argc == 2);
  CHECK(pthread_barrier_init(&worked, NULL, 2) == 0 && pthread_barrier_init(&closed, NULL, 2) == 0);
  for (int i = 0; i < ROUNDS; ++i) {
    pthread_t outliving, ending;
    void* taken = NULL;
    void* library = dlopen(argv[1], RTLD_NOW);
    CHECK(library != NULL);
    void* found = dlsym(library, "plugin_work");
    CHECK(found != NULL);
    memcpy((void*)&work, &found, sizeof work);
    CHECK(pthread_create(&outliving, NULL, outlives_it, NULL) == 0);
    CHECK(pthread_create(&ending, NULL, ends_before, NULL) == 0);
    CHECK(pthread_join(ending, &taken) == 0);
    left[i][0] = taken;
    if (i % 10 == 0) {
      run_short();
    }
    pthread_barrier_wait(&worked);
    fork_once(i % 2);
    CHECK(dlclose(library) == 0);
    CHECK(dlopen(argv[1], RTLD_NOW | RTLD_NOLOAD) == NULL); /* or nothing would be proved */
    fork_once(1);
    pthread_barrier_wait(&closed);
    CHECK(pthread_join(outliving, &taken) == 0);
    left[i][1] = taken;
  }
  for (int i = 0; i < ROUNDS; ++i) {
    CHECK(left[i][0][0] == 7 && left[i][1][0] == 7);
    free(left[i][0]);
    free(left[i][1]);
  }
  return 0;
}
