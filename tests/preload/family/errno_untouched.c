/* free leaves errno alone: small, large, aligned, remote, by realloc, and when what it does needs the kernel. */
#include <pthread.h>

#include "../support/test.h"

enum { BLOCKS = 20000 };
static void* blocks[BLOCKS];

static void free_all(void) {
  for (int i = 0; i < BLOCKS; ++i) {
    errno = 1234;
    free(blocks[i]);
    CHECK(errno == 1234);
  }
}

static void* free_remotely(void* unused) {
  free_all();
  return unused;
}

int main(void) {
  static const size_t sizes[] = {1, 16, 100, 1000, 5000};
  pthread_t thread;
  require_stealth();
  for (size_t kind = 0; kind < sizeof sizes / sizeof sizes[0]; ++kind) {
    for (int round = 0; round < 4; ++round) {
      for (int i = 0; i < BLOCKS; ++i) {
        blocks[i] = round == 2 ? memalign(64, sizes[kind]) : malloc(sizes[kind]);
        CHECK(blocks[i] != NULL);
      }
      if (round == 1) {
        CHECK(pthread_create(&thread, NULL, free_remotely, NULL) == 0);
        pthread_join(thread, NULL);
      } else {
        free_all();
      }
    }
  }
  for (size_t size = 20 * KIB; size <= 256 * MIB; size *= 2) {
    void* block = malloc(size);
    CHECK(block != NULL);
    memset(block, 1, size < MIB ? size : MIB);
    errno = 1234;
    free(block);
    CHECK(errno == 1234);
    block = malloc(size);
    errno = 1234;
    CHECK(realloc(block, opaque(0)) == NULL);
    CHECK(errno == 1234);
  }
  errno = 1234;
  free(NULL);
  CHECK(errno == 1234);
  return 0;
}
