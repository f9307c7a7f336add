/* A shared library with an allocator, as libjemalloc is one: malloc, and a function of its own. */
#include <stddef.h>

void* malloc(size_t size);
void* mallocx(size_t size, int flags);

static char memory[1 << 16];
static size_t used;

void* malloc(size_t size) {
  void* block = memory + used;
  used += (size + 15) / 16 * 16;
  return block;
}

void* mallocx(size_t size, int flags) {
  (void)flags;
  return malloc(size);
}
