/* A plugin that has itself called wherever it can: around fork, at the end, when a thread ends, when memory is short.
 * Each handler allocates and frees. When it is closed, the C library forgets what it had registered with it; the rest
 * it takes back itself. */
#include <pthread.h>
#include <stealth/stealth.h>

#include "../support/test.h"

enum { KEPT = 50 };
static void* kept[KEPT];
static void* made_before_fork;
static pthread_key_t key;
static uint64_t subscription;
static pid_t subscriber;

static void before_fork(void) { made_before_fork = malloc(3000); }
static void after_fork(void) {
  CHECK(made_before_fork != NULL);
  free(made_before_fork);
  made_before_fork = NULL;
}
static void at_the_end(void) { free(malloc(70 * KIB)); }
static void memory_is_short(enum stealth_pressure level, void* context) {
  (void)level;
  (void)context;
  free(malloc(500));
}

static void* api(const char* name) {
  void* found = dlsym(RTLD_DEFAULT, name);
  CHECK(found != NULL || standing_in());
  return found;
}

__attribute__((constructor)) static void begin_handling(void) {
  int (*subscribe)(stealth_pressure_callback*, void*, uint64_t*) = NULL;
  void* found = api("stealth_on_pressure");
  memcpy((void*)&subscribe, &found, sizeof found);
  CHECK(pthread_atfork(before_fork, after_fork, after_fork) == 0);
  CHECK(atexit(at_the_end) == 0);
  CHECK(pthread_key_create(&key, free) == 0);
  CHECK(found == NULL || subscribe(memory_is_short, NULL, &subscription) == STEALTH_OK);
  subscriber = getpid();
  for (int i = 0; i < KEPT; ++i) {
    kept[i] = malloc((size_t)i * 200);
  }
}

__attribute__((destructor)) static void end_handling(void) {
  int (*unsubscribe)(uint64_t) = NULL;
  void* found = api("stealth_pressure_end");
  memcpy((void*)&unsubscribe, &found, sizeof found);
  if (found != NULL) { /* a forked child has no subscriptions */
    const int ended = unsubscribe(subscription);
    CHECK(ended == (getpid() == subscriber ? STEALTH_OK : STEALTH_INVALID_HANDLE));
  }
  CHECK(pthread_key_delete(key) == 0);
  for (int i = 0; i < KEPT; ++i) {
    free(kept[i]);
  }
}

void* plugin_work(void);
void* plugin_work(void) {
  free(pthread_getspecific(key));
  CHECK(pthread_setspecific(key, malloc(40)) == 0);
  void* block = malloc(150);
  CHECK(block != NULL);
  memset(block, 7, 150);
  return block;
}
