/* Shows what it was started with, one thing a line, and ends with the status that STATUS names. */
#include <dlfcn.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

extern char** environ;

int main(int argc, char** argv) {
  printf("pid %ld\n", (long)getpid());
  printf("served %d\n", dlsym(RTLD_DEFAULT, "stealth_version") != NULL);
  void* volatile block = malloc(1000);
  free(block);
  for (int i = 1; i < argc; ++i) printf("argument %s\n", argv[i]);
  for (char** entry = environ; *entry != NULL; ++entry) {
    if (strncmp(*entry, "STEALTH_", 8) == 0 || strncmp(*entry, "LD_PRELOAD=", 11) == 0) printf("variable %s\n", *entry);
  }
  char const* status = getenv("STATUS");
  return status == NULL ? 0 : atoi(status);
}
