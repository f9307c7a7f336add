/* A fast producer and a consumer of some 150 MiB/s, with an unbounded queue between them: queue PRODUCERS [PACE]; with
 * a pace, each producer makes no more than so many MiB a second, and the consumer is there from the beginning; else it
 * comes when a producer has had to wait, or all have ended. Without a capacity the queue takes all of the 300 MiB; with
 * one of 32 MiB the producers wait for the consumer. The blocks are of many sizes, and each is checked on arrival. */
#include <pthread.h>
#include <stdatomic.h>

#include "../support/stamp.h"
#include "../support/waiting.h"

struct item {
  struct item* next;
  size_t size;
};

static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
static struct item *first, **last = &first;
static atomic_int producing;
static size_t share;
static double pace;

static void* produce(void* number) {
  uint64_t state = 1 + (uint64_t)(uintptr_t)number;
  double due = seconds_now();
  for (size_t made = 0; made < share;) {
    const size_t size = 64 + random_below(&state, random_below(&state, 4) == 0 ? 256 * KIB : 16 * KIB);
    struct item* item = malloc(size);
    CHECK(item != NULL);
    item->next = NULL;
    item->size = size;
    stamp(item + 1, size - sizeof *item, (unsigned)size);
    pthread_mutex_lock(&lock);
    *last = item;
    last = &item->next;
    pthread_mutex_unlock(&lock);
    made += size;
    if (pace > 0) { /* what was missed is not caught up with */
      const double now = seconds_now();
      due = (due < now - 0.005 ? now - 0.005 : due) + (double)size / (pace * 1024 * 1024);
      if (due > now + 0.001) {
        usleep((useconds_t)((due - now) * 1e6));
      }
    }
  }
  atomic_fetch_sub(&producing, 1);
  return NULL;
}

static struct item* take(void) {
  pthread_mutex_lock(&lock);
  struct item* item = first;
  if (item != NULL) {
    first = item->next;
    if (first == NULL) {
      last = &first;
    }
  }
  pthread_mutex_unlock(&lock);
  return item;
}

static int somebody_has_waited(void) {
  const struct stealth_statistics now = figures_now();
  return now.waits + now.waiting_now > 0;
}

int main(int argc, char** argv) {
  pthread_t threads[16];
  size_t eaten = 0;
  require_stealth();
  CHECK(argc == 2 || argc == 3);
  pace = argc == 3 ? atof(argv[2]) : 0;
  const int producers = atoi(argv[1]);
  atomic_store(&producing, producers);
  share = 300 * MIB / (size_t)producers;
  for (int i = 0; i < producers; ++i) {
    CHECK(pthread_create(&threads[i], NULL, produce, (void*)(uintptr_t)i) == 0);
  }
  while (argc == 2 && atomic_load(&producing) > 0 && !somebody_has_waited()) {
    usleep(500);
  }
  const double begin = seconds_now();
  for (;;) {
    const int over = atomic_load(&producing) == 0;
    struct item* item = take();
    if (item == NULL && over) {
      break;
    }
    if (item != NULL) {
      CHECK(stamp_kept(item + 1, item->size - sizeof *item, item->size - sizeof *item, (unsigned)item->size));
      eaten += item->size;
      free(item);
    }
    const double due = (double)eaten / (150.0 * 1024 * 1024); /* the consumer's own pace */
    const double now = seconds_now() - begin;
    if (now < due || item == NULL) {
      usleep(500);
    }
  }
  for (int i = 0; i < producers; ++i) {
    CHECK(pthread_join(threads[i], NULL) == 0);
  }
  const double elapsed = seconds_now() - begin;
  printf("%.1f s for %zu MiB\n", elapsed, eaten / MIB);
  CHECK(eaten >= share * (size_t)producers);
  CHECK(elapsed < 120);
  return 0;
}
