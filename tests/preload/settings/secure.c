/* A set-uid program that is linked against libstealth (the loader ignores LD_PRELOAD there): prints whether the kernel
 * calls it secure, and whose its blocks are. The script secure.py builds and marks it. */
#include <sys/auxv.h>

#include "../support/test.h"

int main(void) {
  require_stealth();
  void* block = malloc(100);
  printf("%s %s\n", getauxval(AT_SECURE) != 0 ? "secure" : "ordinary", served_by_libc(block) ? "libc" : "ours");
  free(block);
  return 0;
}
