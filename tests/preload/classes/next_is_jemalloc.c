/* Preloaded before jemalloc, with no class of our own: jemalloc itself counts what it gives this thread, so it must
 * have served every size and every call of the family that it has. */
#include "../support/test.h"

typedef int control(const char*, void*, size_t*, void*, size_t);

static uint64_t given_so_far(control* mallctl) {
  uint64_t bytes = 0;
  size_t size = sizeof bytes;
  CHECK(mallctl("thread.allocated", &bytes, &size, NULL, 0) == 0);
  return bytes;
}

static void expect_from_jemalloc(control* mallctl, uint64_t before, const void* block, size_t size) {
  CHECK(block != NULL);
  CHECK(given_so_far(mallctl) - before >= size);
  CHECK(malloc_usable_size((void*)(uintptr_t)block) >= size);
}

int main(void) {
  require_stealth();
  control* mallctl = (control*)(uintptr_t)dlsym(RTLD_DEFAULT, "mallctl");
  CHECK(mallctl != NULL);
  for (size_t size = 1; size < 4 * MIB; size = size * 3 + 1) {
    uint64_t before = given_so_far(mallctl);
    void* block = malloc(size);
    expect_from_jemalloc(mallctl, before, block, size);
    before = given_so_far(mallctl);
    block = realloc(block, size * 20);
    expect_from_jemalloc(mallctl, before, block, size * 20);
    free(block);
    before = given_so_far(mallctl);
    block = calloc(1, size);
    expect_from_jemalloc(mallctl, before, block, size);
    free(block);
    before = given_so_far(mallctl);
    CHECK(posix_memalign(&block, 128, size) == 0);
    expect_from_jemalloc(mallctl, before, block, size);
    free(block);
    before = given_so_far(mallctl);
    block = aligned_alloc(128, size);
    expect_from_jemalloc(mallctl, before, block, size);
    free(block);
    /* Debian's jemalloc has no pvalloc: what serves it is left open, but it must be given and taken back. */
    block = pvalloc(size);
    CHECK(block != NULL && malloc_usable_size(block) >= size);
    free(block);
  }
  for (size_t alignment = 16; alignment <= 4096; alignment *= 2) { /* of nothing, and aligned all the same */
    void* blocks[8];
    for (int i = 0; i < 8; ++i) {
      CHECK(posix_memalign(&blocks[i], alignment, 0) == 0 && aligned_to(blocks[i], alignment));
    }
    for (int i = 0; i < 8; ++i) {
      free(blocks[i]);
    }
  }
  return 0;
}
