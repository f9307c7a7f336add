/* A program that brings its own getenv, as bash does, and allocates in it: settings are read without going round in
 * circles, and STEALTH_* is honoured all the same (the statistics must be there). */
#include "../support/test.h"

extern char** environ;
static int depth;

char* getenv(const char* name) {
  const size_t length = strlen(name);
  CHECK(++depth < 10);
  free(malloc(10)); /* goes round in circles if malloc asks for a setting again */
  --depth;
  for (char** entry = environ; entry != NULL && *entry != NULL; ++entry) {
    if (strncmp(*entry, name, length) == 0 && (*entry)[length] == '=') {
      return *entry + length + 1;
    }
  }
  return NULL;
}

char* secure_getenv(const char* name) { return getenv(name); }

int main(void) {
  require_stealth();
  for (size_t size = 1; size < 8 * MIB; size = size * 3 + 1) {
    free(malloc(size));
  }
  CHECK(depth == 0);
  return 0;
}
