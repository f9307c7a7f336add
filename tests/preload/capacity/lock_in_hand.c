/* A producer allocates with a mutex in hand, without which the consumer can free nothing. At the capacity it waits all
 * the same, but where it takes the mutex: the consumer goes on meanwhile, and the queue stays where the capacity holds
 * it. lock_in_hand [rwlock]: with a reader-writer lock. */
#include <errno.h>
#include <pthread.h>
#include <stdatomic.h>

#include "../support/waiting.h"

enum { ITEMS = 24000, SIZE = 4096 - 64 };

struct item {
  struct item* next;
};

static pthread_mutex_t mutex = PTHREAD_MUTEX_INITIALIZER;
static pthread_rwlock_t rwlock = PTHREAD_RWLOCK_INITIALIZER;
static int with_rwlock;
static struct item *first, **last = &first;
static double allocating, locking;

static void lock(void) { CHECK((with_rwlock ? pthread_rwlock_wrlock(&rwlock) : pthread_mutex_lock(&mutex)) == 0); }
static void unlock(void) { CHECK((with_rwlock ? pthread_rwlock_unlock(&rwlock) : pthread_mutex_unlock(&mutex)) == 0); }

static void* produce(void* unused) {
  for (int i = 0; i < ITEMS; ++i) {
    const double before = seconds_now();
    errno = 12345;
    lock();
    CHECK(errno == 12345);
    const double locked = seconds_now();
    struct item* item = malloc(SIZE);
    allocating += seconds_now() - locked;
    locking += locked - before;
    CHECK(item != NULL);
    memset(item, 1, SIZE);
    item->next = NULL;
    *last = item;
    last = &item->next;
    unlock();
  }
  return unused;
}

/* Some 40 MiB a second. */
static void consume(void) {
  const double begin = seconds_now();
  for (int eaten = 0; eaten < ITEMS;) {
    lock();
    struct item* item = first;
    if (item != NULL && (first = item->next) == NULL) {
      last = &first;
    }
    unlock();
    free(item);
    eaten += item != NULL;
    if (item == NULL || seconds_now() - begin < eaten / 10000.0) {
      usleep(100);
    }
  }
}

int main(int argc, char** argv) {
  pthread_t producer;
  require_stealth();
  with_rwlock = argc == 2 && strcmp(argv[1], "rwlock") == 0;
  CHECK(pthread_create(&producer, NULL, produce, NULL) == 0);
  consume();
  CHECK(pthread_join(producer, NULL) == 0);
  printf("%.3f s in malloc, %.3f s to take the lock\n", allocating, locking);
  CHECK(standing_in() || allocating < locking / 4);
  return 0;
}
