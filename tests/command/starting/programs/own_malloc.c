/* A program with a malloc of its own; `hidden` builds do not export it. */
#include <stddef.h>

#ifdef HIDDEN
#define SHOWN __attribute__((visibility("hidden")))
#else
#define SHOWN __attribute__((visibility("default")))
#endif

static char memory[1 << 16];
static size_t used;

SHOWN void* malloc(size_t size) {
  void* block = memory + used;
  used += (size + 15) / 16 * 16;
  return block;
}
SHOWN void free(void* block) { (void)block; }

int main(void) {
  void* volatile block = malloc(100);
  free(block);
  return block == NULL;
}
