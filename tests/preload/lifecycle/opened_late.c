/* libstealth.so opened by dlopen in a program that has a malloc already, instead of being preloaded: opened_late LIB
 * [global]. The program's own calls stay with the malloc it has; the library serves those that ask for its functions,
 * knows foreign blocks when it is given some, survives fork, threads and the end of the process, and is never unloaded.
 */
#include <pthread.h>
#include <stealth/stealth.h>
#include <sys/wait.h>

#include "../support/stamp.h"

static struct {
  void* (*malloc)(size_t);
  void (*free)(void*);
  void* (*realloc)(void*, size_t);
  void* (*calloc)(size_t, size_t);
  int (*stealth_stats)(struct stealth_statistics*);
} late;

#define LOOK_UP(library, name)                       \
  do {                                               \
    void* found = dlsym(library, #name);             \
    CHECK(found != NULL);                            \
    memcpy((void*)&late.name, &found, sizeof found); \
  } while (0)

static uint64_t held_now(void) {
  struct stealth_statistics now = {.size = sizeof now};
  CHECK(late.stealth_stats(&now) == STEALTH_OK);
  return now.held;
}

static void* work(void* number) {
  enum { BLOCKS = 200 };
  static _Thread_local void* blocks[BLOCKS];
  static _Thread_local size_t sizes[BLOCKS];
  uint64_t state = 5 + (uint64_t)(uintptr_t)number;
  for (int i = 0; i < 20000; ++i) {
    const size_t place = random_below(&state, BLOCKS);
    CHECK(blocks[place] == NULL || stamp_kept(blocks[place], sizes[place], sizes[place], (unsigned)place));
    late.free(blocks[place]);
    sizes[place] = 1 + random_below(&state, random_below(&state, 50) == 0 ? 500 * KIB : 1000);
    blocks[place] = late.malloc(sizes[place]);
    CHECK(blocks[place] != NULL);
    stamp(blocks[place], sizes[place], (unsigned)place);
  }
  for (int i = 0; i < BLOCKS; ++i) {
    late.free(blocks[i]);
    blocks[i] = NULL;
  }
  return NULL;
}

static void in_threads(void) {
  pthread_t threads[3];
  for (uintptr_t i = 0; i < 3; ++i) {
    CHECK(pthread_create(&threads[i], NULL, work, (void*)i) == 0);
  }
  for (int i = 0; i < 3; ++i) {
    CHECK(pthread_join(threads[i], NULL) == 0);
  }
}

static void foreign_blocks(void) {
  char* mine = malloc(100);
  CHECK(mine != NULL);
  strcpy(mine, "the program's");
  mine = late.realloc(mine, 100 * KIB);
  CHECK(mine != NULL && strcmp(mine, "the program's") == 0);
  late.free(mine);
  late.free(malloc(MIB));
}

int main(int argc, char** argv) {
  CHECK(argc >= 2);
  CHECK(dlsym(RTLD_DEFAULT, "stealth_version") == NULL); /* not preloaded */
  alarm(120);
  void* before = malloc(500);
  stamp(before, 500, 1);
  for (int round = 0; round < 3; ++round) {
    void* library = dlopen(argv[1], argc > 2 ? RTLD_NOW | RTLD_GLOBAL : RTLD_LAZY | RTLD_LOCAL);
    if (library == NULL) {
      fprintf(stderr, "%s\n", dlerror());
    }
    CHECK(library != NULL);
    LOOK_UP(library, malloc);
    LOOK_UP(library, free);
    LOOK_UP(library, realloc);
    LOOK_UP(library, calloc);
    LOOK_UP(library, stealth_stats);
    const uint64_t held = held_now();
    void* large = late.calloc(1, 4 * MIB);
    CHECK(large != NULL && all_zero(large, 4 * MIB));
    CHECK(round > 0 || held_now() >= held + 4 * MIB); /* later ones may use again what it has */
    void* own = malloc(40 * MIB);                     /* another one's: it counts nothing of it */
    CHECK(own != NULL && held_now() < held + 8 * MIB);
    free(own);
    late.free(large);
    in_threads();
    foreign_blocks();
    int status = -1;
    const pid_t child = fork();
    CHECK(child >= 0);
    if (child == 0) {
      in_threads();
      foreign_blocks();
      exit(0);
    }
    CHECK(waitpid(child, &status, 0) == child && WIFEXITED(status) && WEXITSTATUS(status) == 0);
    CHECK(dlclose(library) == 0);
    work(NULL); /* it is still there */
  }
  CHECK(stamp_kept(before, 500, 500, 1));
  free(before);
  return 0;
}
