/* The same library by dlopen: its thread allocates and ends while the loader's lock is held by the opener. */
#include "../support/test.h"

int main(int argc, char** argv) {
  require_stealth();
  CHECK(argc == 2);
  for (int i = 0; i < 50; ++i) {
    void* library = dlopen(argv[1], RTLD_NOW);
    CHECK(library != NULL);
    CHECK(*(void**)dlsym(library, "left_by_constructor") != NULL);
    CHECK(dlclose(library) == 0);
  }
  return 0;
}
