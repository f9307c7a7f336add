/* A thousand threads wait at the capacity of 160 MiB at once; then a consumer releases what they want, in blocks of
 * another size, and all of them go on. */
#include <stdatomic.h>

#include "capacity.h"

enum { THREADS = 1000 };
static const size_t wanted = 128 * 1024;
static pthread_barrier_t start;
static atomic_int served;

static void* wait_for_memory(void* unused) {
  pthread_barrier_wait(&start);
  void* block = touched(wanted);
  CHECK(block != NULL);
  keep(block);
  atomic_fetch_add(&served, 1);
  return unused;
}

int main(void) {
  static pthread_t threads[THREADS];
  pthread_attr_t small;
  require_stealth();
  CHECK(pthread_barrier_init(&start, NULL, THREADS + 1) == 0);
  CHECK(pthread_attr_init(&small) == 0 && pthread_attr_setstacksize(&small, 64 * KIB) == 0);
  for (int i = 0; i < THREADS; ++i) {
    CHECK(pthread_create(&threads[i], &small, wait_for_memory, NULL) == 0);
  }
  fill_up_to(160 * MIB);
  keep(touched(192 * KIB)); /* less than anybody wants is left */
  const double begin = seconds_now();
  pthread_barrier_wait(&start);
  until_waiting(THREADS);
  const double all_there = seconds_now();
  CHECK(atomic_load(&served) == 0 || standing_in());
  give_back(THREADS * wanted);
  const double released = seconds_now();
  for (int i = 0; i < THREADS; ++i) {
    CHECK(pthread_join(threads[i], NULL) == 0);
  }
  const double ended = seconds_now();
  printf("waiting %.3f s, released in %.3f s, then %.3f s\n", all_there - begin, released - all_there,
         ended - released);
  CHECK(ended - all_there < 50);
  return 0;
}
