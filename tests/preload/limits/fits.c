/* fits MIB: within an address-space limit of so many MiB a program works: it gets a fair part of the limit by malloc in
 * blocks of a given size, NULL with ENOMEM after that, and once all is freed the same again; threads and its own
 * mappings work as well. Run with --limit as=… */
#include <pthread.h>
#include <sys/mman.h>

#include "../support/test.h"

struct link {
  struct link* next;
};

/* Takes blocks until there is no more, writes their ends, gives all back; the sum is returned. */
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
    ((char*)block)[size - 1] = 1;
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

static void* work(void* unused) {
  void* block = malloc(100 * KIB);
  CHECK(block != NULL);
  free(block);
  return unused;
}

int main(int argc, char** argv) {
  static const size_t sizes[] = {100, 1000, 20 * KIB, 300 * KIB, 3 * MIB};
  pthread_t thread;
  pthread_attr_t attributes;
  require_stealth();
  CHECK(argc == 2);
  const size_t limit = (size_t)atoi(argv[1]) * MIB;
  pthread_attr_init(&attributes);
  CHECK(pthread_attr_setstacksize(&attributes, 256 * KIB) == 0);
  CHECK(pthread_create(&thread, &attributes, work, NULL) == 0);
  CHECK(pthread_join(thread, NULL) == 0);
  void* own = mmap(NULL, 8 * MIB, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
  CHECK(own != MAP_FAILED);
  CHECK(munmap(own, 8 * MIB) == 0);
  for (int round = 0; round < 2; ++round) {
    for (size_t i = 0; i < sizeof sizes / sizeof sizes[0]; ++i) {
      const size_t sum = take_all(sizes[i]);
      fprintf(stderr, "%7zu bytes each: %zu of %zu MiB\n", sizes[i], sum / MIB, limit / MIB);
      CHECK(sum >= limit / 2);
    }
  }
  return 0;
}
