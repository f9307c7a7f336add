/* A library that allocates in its constructor and destructor comes and goes at the capacity, named by its path, by its
 * bare name (LD_LIBRARY_PATH leads to it) or by this program's place: waitless_dlopen PLUGIN path|bare|origin. */
#include "waitless.h"

int main(int argc, char** argv) {
  char by_origin[300];
  CHECK(argc == 3);
  const char* name = strrchr(argv[1], '/') + 1;
  snprintf(by_origin, sizeof by_origin, "$ORIGIN/%s", name);
  name = strcmp(argv[2], "path") == 0 ? argv[1] : strcmp(argv[2], "bare") == 0 ? name : by_origin;
  stand_at_capacity();
  for (int i = 0; i < 3; ++i) {
    void* library = dlopen(name, RTLD_NOW);
    if (library == NULL) {
      fprintf(stderr, "%s\n", dlerror());
    }
    CHECK(library != NULL);
    CHECK(dlsym(library, "plugin_answer") != NULL);
    CHECK(dlclose(library) == 0);
    CHECK(dlopen(name, RTLD_NOW | RTLD_NOLOAD) == NULL); /* it is gone */
  }
  return 0;
}
