/* The process is full to its capacity of 67 MiB when 40 of them are freed elsewhere: they are used before anybody
 * waits. With a patience of 0 a wait would be a refusal: idle_first lists|batches|ended|spans. */
#include "capacity.h"

enum { COUNT = 160000, SIZE = 256 };
static void* blocks[COUNT];
static char const* way;
static pthread_barrier_t barrier;

static int it_is(char const* name) { return strcmp(way, name) == 0; }

static void free_all(void) {
  for (int i = 0; i < COUNT; ++i) {
    free(blocks[i]);
  }
}

/* Its heap owns the blocks. Who frees them, and whether it lives on, is the case. */
static void* own(void* unused) {
  for (int i = 0; i < COUNT; ++i) {
    blocks[i] = it_is("spans") ? i < 40 ? touched(MIB) : NULL : touched(SIZE);
    CHECK(blocks[i] != NULL || i >= 40);
  }
  pthread_barrier_wait(&barrier);
  pthread_barrier_wait(&barrier); /* main has filled up the rest */
  if (it_is("ended")) {
    return unused;
  }
  if (!it_is("batches")) {
    free_all();
  }
  pthread_barrier_wait(&barrier);
  return idle_for_ever(unused);
}

int main(int argc, char** argv) {
  pthread_t thread;
  require_stealth();
  CHECK(argc == 2);
  way = argv[1];
  CHECK(pthread_barrier_init(&barrier, NULL, 2) == 0);
  CHECK(pthread_create(&thread, NULL, own, NULL) == 0);
  pthread_barrier_wait(&barrier);
  fill_up_to(67 * MIB); /* not far beyond where idle memory was collected last: it must be looked for again */
  pthread_barrier_wait(&barrier);
  if (it_is("ended")) {
    CHECK(pthread_join(thread, NULL) == 0);
  } else {
    pthread_barrier_wait(&barrier);
  }
  if (it_is("ended") || it_is("batches")) {
    free_all();
  }
  const double begin = seconds_now();
  for (size_t taken = 0; taken < 36 * MIB; taken += 41 * KIB) { /* of other sizes: what is free must come back whole */
    void* small = touched(KIB);
    void* large = touched(40 * KIB);
    CHECK(small != NULL && large != NULL);
    keep(small);
    keep(large);
  }
  CHECK(seconds_now() - begin < 60);
  return 0;
}
