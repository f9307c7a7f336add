/* Opens what it is given, with RTLD_DEEPBIND where told so in words. */
#include <dlfcn.h>
#include <string.h>

int main(int argc, char** argv) {
  if (argc < 2) return 0;
#ifdef DEEP
  int const deep = argc > 2 && strcmp(argv[2], "RTLD_DEEPBIND") == 0 ? RTLD_DEEPBIND : 0;
#else
  int const deep = 0;
#endif
  return dlopen(argv[1], RTLD_NOW | deep) == NULL;
}
