/* A plugin opened with RTLD_DEEPBIND has its own idea of malloc: libc's. Its blocks are freed here, ours over there. */
#include "../support/test.h"

typedef void* worker(void);

int main(int argc, char** argv) {
  require_stealth();
  CHECK(argc == 2);
  void* library = dlopen(argv[1], RTLD_NOW | RTLD_DEEPBIND);
  CHECK(library != NULL);
  worker* work = (worker*)(uintptr_t)dlsym(library, "plugin_work");
  CHECK(work != NULL);
  for (int i = 0; i < 1000; ++i) {
    unsigned char* block = work();
    CHECK(block[0] == 7 && malloc_usable_size(block) >= 150);
    block = realloc(block, 5000);
    CHECK(block != NULL && block[149] == 7);
    free(block);
  }
  CHECK(dlclose(library) == 0);
  return 0;
}
