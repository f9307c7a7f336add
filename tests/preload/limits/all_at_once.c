/* Four threads run out of memory at the same time, again and again, with sizes of every kind: each sees NULL with
 * ENOMEM, nobody crashes or hangs, no byte of a block is lost, and after all is freed 100 MB can be had again, in one
 * piece and in small ones. Run with --limit as=512m */
#include <pthread.h>

#include "../support/stamp.h"

enum { THREADS = 4 };
static pthread_barrier_t start;

struct link {
  struct link* next;
  size_t size;
};

static struct link* take_until_none(uint64_t* state, int* refusals) {
  struct link* chain = NULL;
  for (*refusals = 0; *refusals < 40;) {
    const size_t size = 32 + random_below(state, (size_t)1 << (5 + random_below(state, 18)));
    errno = 0;
    struct link* block = random_below(state, 4) == 0 ? calloc(1, size) : malloc(size);
    if (block == NULL) {
      CHECK(errno == ENOMEM);
      ++*refusals;
      continue;
    }
    block->next = chain;
    block->size = size;
    stamp(block + 1, size - sizeof *block, (unsigned)size);
    chain = block;
  }
  return chain;
}

static void give_back(struct link* chain) {
  while (chain != NULL) {
    struct link* next = chain->next;
    const size_t rest = chain->size - sizeof *chain;
    CHECK(stamp_kept(chain + 1, rest, rest, (unsigned)chain->size));
    if (rest % 5 == 0) { /* shrinking and growing may both be refused, and then change nothing */
      struct link* moved = realloc(chain, rest % 2 == 0 ? chain->size / 2 + sizeof *chain : chain->size * 8);
      chain = moved != NULL ? moved : chain;
    }
    free(chain);
    chain = next;
  }
}

static void exhaust(uint64_t seed) {
  uint64_t state = seed;
  int refusals = 0;
  for (int round = 0; round < 3; ++round) {
    give_back(take_until_none(&state, &refusals));
  }
}

static void* work(void* number) {
  pthread_barrier_wait(&start);
  exhaust(5 + (uint64_t)(uintptr_t)number);
  return NULL;
}

static void expect_100_mb(void) {
  static char* blocks[100000];
  char* piece = malloc(100 * 1000 * 1000);
  CHECK(piece != NULL);
  piece[0] = piece[99999999] = 1;
  free(piece);
  for (int i = 0; i < 100000; ++i) {
    blocks[i] = malloc(1000);
    CHECK(blocks[i] != NULL);
  }
  for (int i = 0; i < 100000; ++i) {
    free(blocks[i]);
  }
}

int main(void) {
  pthread_t threads[THREADS];
  pthread_attr_t attributes;
  require_stealth();
  pthread_attr_init(&attributes);
  CHECK(pthread_attr_setstacksize(&attributes, 256 * KIB) == 0);
  CHECK(pthread_barrier_init(&start, NULL, THREADS + 1) == 0);
  for (int i = 0; i < THREADS; ++i) { /* now, since later there may be no room for their stacks */
    CHECK(pthread_create(&threads[i], &attributes, work, (void*)(uintptr_t)(i + 1)) == 0);
  }
  exhaust(1);
  expect_100_mb();
  pthread_barrier_wait(&start);
  for (int i = 0; i < THREADS; ++i) {
    CHECK(pthread_join(threads[i], NULL) == 0);
  }
  expect_100_mb();
  return 0;
}
