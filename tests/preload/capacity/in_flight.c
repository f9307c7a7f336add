/* Sixteen quick threads take blocks of 4 MiB and then write them, main frees them slowly: what is handed out and not
 * written yet counts, so the capacity holds: in_flight MIB, of which so many may be resident, the program included. */
#include "capacity.h"

enum { kThreads = 16, kEach = 6 };
static void* made[kThreads * kEach];
static int count;
static pthread_mutex_t mutex = PTHREAD_MUTEX_INITIALIZER;

static void* make(void* unused) {
  for (int i = 0; i < kEach; ++i) {
    void* block = malloc(4 * MIB);
    if (block == NULL) { /* refused: it is asked for again */
      --i;
      sleep_ms(1);
      continue;
    }
    memset(block, 1, 4 * MIB);
    CHECK(pthread_mutex_lock(&mutex) == 0);
    made[count++] = block;
    CHECK(pthread_mutex_unlock(&mutex) == 0);
  }
  return unused;
}

int main(int argc, char** argv) {
  pthread_t threads[kThreads];
  size_t most = 0;
  require_stealth();
  CHECK(argc == 2);
  for (int i = 0; i < kThreads; ++i) {
    CHECK(pthread_create(&threads[i], NULL, make, NULL) == 0);
  }
  for (int freed = 0; freed < kThreads * kEach;) {
    CHECK(pthread_mutex_lock(&mutex) == 0);
    void* block = freed < count ? made[freed] : NULL;
    CHECK(pthread_mutex_unlock(&mutex) == 0);
    if (block != NULL) {
      free(block);
      ++freed;
    }
    const size_t now = resident_bytes();
    most = now > most ? now : most;
    sleep_ms(5);
  }
  for (int i = 0; i < kThreads; ++i) {
    CHECK(pthread_join(threads[i], NULL) == 0);
  }
  printf("%zu MiB\n", most / MIB);
  CHECK(most <= strtoul(argv[1], NULL, 10) * MIB || standing_in());
  return 0;
}
