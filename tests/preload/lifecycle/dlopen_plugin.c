/* A plugin is loaded, used by this thread and another, and unloaded, 100 times; what it gave out lives on. */
#include <pthread.h>

#include "../support/test.h"

typedef void* worker(void);
enum { ROUNDS = 100 };

static void* in_thread(void* work) {
  unsigned char* block = ((worker*)(uintptr_t)work)();
  CHECK(block[149] == 7);
  return block;
}

int main(int argc, char** argv) {
  static unsigned char* left[ROUNDS][2];
  require_stealth();
  CHECK(argc == 2);
  for (int i = 0; i < ROUNDS; ++i) {
    pthread_t thread;
    void* taken = NULL;
    void* library = dlopen(argv[1], i % 2 == 0 ? RTLD_NOW : RTLD_LAZY | RTLD_GLOBAL);
    CHECK(library != NULL);
    void* work = dlsym(library, "plugin_work");
    CHECK(work != NULL);
    left[i][0] = ((worker*)(uintptr_t)work)();
    CHECK(pthread_create(&thread, NULL, in_thread, work) == 0);
    CHECK(pthread_join(thread, &taken) == 0);
    left[i][1] = taken;
    CHECK(dlclose(library) == 0);
    CHECK(dlopen("/no/such/library.so", RTLD_NOW) == NULL && dlerror() != NULL);
  }
  for (int i = 0; i < ROUNDS; ++i) {
    CHECK(left[i][0][0] == 7 && left[i][1][149] == 7);
    free(left[i][0]);
    free(left[i][1]);
  }
  return 0;
}
