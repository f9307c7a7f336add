/* tiny none|nofile|nproc|sigpending|msgqueue|locks|rss|core|all: a program under a limit that the runner sets (none),
 * or that it sets for itself, as small as can be: it works as without, in threads and children as far as the limit lets
 * it have any. */
#include <grp.h>
#include <pthread.h>
#include <sys/resource.h>
#include <sys/wait.h>

#include "../support/stamp.h"

enum { BLOCKS = 500 };

static void* use(void* number) {
  static _Thread_local void* blocks[BLOCKS];
  static _Thread_local size_t sizes[BLOCKS];
  uint64_t state = 11 + (uint64_t)(uintptr_t)number;
  for (int i = 0; i < 20000; ++i) {
    const size_t place = random_below(&state, BLOCKS);
    CHECK(blocks[place] == NULL || stamp_kept(blocks[place], sizes[place], sizes[place], (unsigned)place));
    free(blocks[place]);
    sizes[place] = 1 + random_below(&state, random_below(&state, 40) == 0 ? 400 * KIB : 2000);
    blocks[place] = random_below(&state, 5) == 0 ? memalign(64, sizes[place]) : malloc(sizes[place]);
    CHECK(blocks[place] != NULL);
    stamp(blocks[place], sizes[place], (unsigned)place);
  }
  for (int i = 0; i < BLOCKS; ++i) {
    free(blocks[i]);
    blocks[i] = NULL;
  }
  return NULL;
}

/* More than what has the keeper made, where one can be had, and a control page. */
static void use_much(void) {
  static char* large[24];
  for (int round = 0; round < 2; ++round) {
    for (int i = 0; i < 24; ++i) {
      large[i] = malloc(MIB);
      CHECK(large[i] != NULL);
      memset(large[i], 1, MIB);
    }
    for (int i = 0; i < 24; ++i) {
      free(large[i]);
    }
  }
}

static void set_to_nothing(int resource) {
  const struct rlimit nothing = {0, 0};
  CHECK(setrlimit((__rlimit_resource_t)resource, &nothing) == 0);
}

/* Root may have any number of processes: as nobody, then. */
static void no_more_processes(void) {
  if (getuid() == 0) {
    CHECK(setgroups(0, NULL) == 0 && setresgid(65534, 65534, 65534) == 0 && setresuid(65534, 65534, 65534) == 0);
  }
  set_to_nothing(RLIMIT_NPROC);
  pthread_t thread;
  CHECK(pthread_create(&thread, NULL, use, NULL) == EAGAIN); /* it does bind */
}

static void limit(const char* what) {
  static const struct {
    const char* name;
    int resource;
  } kinds[] = {{"nofile", RLIMIT_NOFILE},     {"nproc", RLIMIT_NPROC},    {"sigpending", RLIMIT_SIGPENDING},
               {"msgqueue", RLIMIT_MSGQUEUE}, {"rss", RLIMIT_RSS},        {"locks", RLIMIT_LOCKS},
               {"core", RLIMIT_CORE},         {"memlock", RLIMIT_MEMLOCK}};
  const int all = strcmp(what, "all") == 0;
  for (size_t i = 0; i < sizeof kinds / sizeof *kinds; ++i) {
    if (!all && strcmp(what, kinds[i].name) != 0) {
      continue;
    }
    if (kinds[i].resource == RLIMIT_NPROC) {
      no_more_processes();
    } else {
      set_to_nothing(kinds[i].resource);
    }
  }
}

int main(int argc, char** argv) {
  require_stealth();
  CHECK(argc == 2);
  const int alone = strcmp(argv[1], "nproc") == 0 || strcmp(argv[1], "all") == 0;
  limit(argv[1]);
  use(NULL);
  use_much();
  if (!alone) {
    pthread_t threads[3];
    pthread_attr_t attributes;
    int status = -1;
    CHECK(pthread_attr_init(&attributes) == 0 && pthread_attr_setstacksize(&attributes, 128 * KIB) == 0);
    for (uintptr_t i = 0; i < 3; ++i) {
      CHECK(pthread_create(&threads[i], &attributes, use, (void*)i) == 0);
    }
    for (int i = 0; i < 3; ++i) {
      CHECK(pthread_join(threads[i], NULL) == 0);
    }
    const pid_t child = fork();
    CHECK(child >= 0);
    if (child == 0) {
      alarm(120);
      use(NULL);
      use_much();
      _exit(0);
    }
    CHECK(waitpid(child, &status, 0) == child && WIFEXITED(status) && WEXITSTATUS(status) == 0);
  }
  usleep(800000); /* longer than freed memory is kept */
  use_much();
  malloc_trim(0);
  return 0;
}
