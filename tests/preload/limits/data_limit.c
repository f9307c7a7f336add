/* RLIMIT_DATA of 32 MiB, which counts every private writable page: our reservation and tables do not use it up, some 20
 * MiB can be had, then NULL with ENOMEM, and after freeing the same again. Run with --limit data=32m */
#include "../support/test.h"

struct link {
  struct link* next;
};

static size_t take_all(size_t size) {
  struct link* chain = NULL;
  size_t sum = 0;
  for (;;) {
    errno = 0;
    struct link* block = malloc(size);
    if (block == NULL) {
      CHECK(errno == ENOMEM);
      break;
    }
    memset(block, 1, size);
    block->next = chain;
    chain = block;
    sum += size;
  }
  while (chain != NULL) {
    struct link* next = chain->next;
    free(chain);
    chain = next;
  }
  return sum;
}

int main(void) {
  static const size_t sizes[] = {100, 1000, 20 * KIB, MIB};
  require_stealth();
  for (int round = 0; round < 2; ++round) {
    for (size_t i = 0; i < sizeof sizes / sizeof sizes[0]; ++i) {
      const size_t sum = take_all(sizes[i]);
      fprintf(stderr, "%7zu bytes each: %zu MiB\n", sizes[i], sum / MIB);
      CHECK(sum >= 20 * MIB);
    }
  }
  return 0;
}
