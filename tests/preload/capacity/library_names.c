/* Names mean something else for each caller: a bare one is looked for in the caller's RUNPATH, $ORIGIN is the caller's
 * place. The host, a library, has a RUNPATH that leads to the plugin; this program has one or not. Beside that, what
 * dlopen, dlclose and dlerror promise: library_names PLUGIN HOST found|missed, by their paths in one folder. */
#include "../support/test.h"

static void* (*host_opens)(char const* name);

static void check_and_close(void* library) {
  int (*answer)(void) = NULL;
  if (library == NULL) {
    fprintf(stderr, "%s\n", dlerror());
  }
  CHECK(library != NULL);
  *(void**)&answer = dlsym(library, "plugin_answer");
  CHECK(answer != NULL && answer() == 42);
  CHECK(dlclose(library) == 0);
}

static void fails(void* library, char const* why) {
  CHECK(library == NULL);
  const char* said = dlerror();
  CHECK(said != NULL && strstr(said, why) != NULL);
  CHECK(dlerror() == NULL); /* said once */
}

int main(int argc, char** argv) {
  char by_origin[300];
  require_stealth();
  CHECK(argc == 4);
  const char* path = argv[1];
  const char* name = strrchr(path, '/') + 1;
  void* host = dlopen(argv[2], RTLD_NOW);
  CHECK(host != NULL);
  *(void**)&host_opens = dlsym(host, "host_opens");
  CHECK(host_opens != NULL);
  snprintf(by_origin, sizeof by_origin, "$ORIGIN/%s", name);
  CHECK(dlerror() == NULL);
  for (int i = 0; i < 2; ++i) {
    check_and_close(host_opens(name));
    check_and_close(host_opens(by_origin));
    check_and_close(dlopen(path, RTLD_LAZY));
    check_and_close(dlopen(by_origin, RTLD_NOW));
    if (strcmp(argv[3], "found") == 0) {
      check_and_close(dlopen(name, RTLD_NOW));
    } else {
      fails(dlopen(name, RTLD_NOW), name);
    }
    fails(dlopen("/nowhere/at_all.so", RTLD_NOW), "/nowhere/at_all.so");
    fails(host_opens("at_all.so"), "at_all.so");
  }

  void* first = dlopen(path, RTLD_NOW);
  void* second = dlopen(path, RTLD_NOW);
  CHECK(first != NULL && first == second);
  CHECK(dlclose(first) == 0);
  void* third = dlopen(path, RTLD_NOW | RTLD_NOLOAD);
  CHECK(third == first); /* one was left */
  CHECK(dlclose(third) == 0 && dlclose(second) == 0);
  CHECK(dlopen(path, RTLD_NOW | RTLD_NOLOAD) == NULL);
  CHECK(dlerror() == NULL); /* that is no error */
  fails(dlopen(path, 0), "invalid mode");
  CHECK(dlclose(first) != 0 && dlerror() != NULL && dlerror() == NULL); /* it is closed */

  void* program = dlopen(NULL, RTLD_NOW);
  CHECK(program != NULL && dlsym(program, "malloc") != NULL);
  CHECK(dlclose(program) == 0 && dlclose(host) == 0);
  return 0;
}
