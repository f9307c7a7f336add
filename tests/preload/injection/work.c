/* What a program does with memory, in a tenth of a second, for inject.c: the whole family, growth, threads that free
 * each other's blocks, a fork, a trim. Every block keeps what was written into it; what cannot be had is NULL and
 * ENOMEM.
 *
 * INJECTED=none: everything must be had. INJECTED=once: one call of the library fails; then nothing may be left at the
 * end that nobody has. INJECTED=ever: from some call on all of a kind fail. */
#include <pthread.h>
#include <stealth/stealth.h>
#include <sys/wait.h>

#include "../support/stamp.h"

enum { PLACES = 64, THREADS = 2 };

struct block {
  void* at;
  size_t size;
};

static int undisturbed, once;
static pthread_mutex_t exchange_lock = PTHREAD_MUTEX_INITIALIZER;
static struct block exchange[32];

static void refused(void) {
  CHECK(errno == ENOMEM);
  CHECK(!undisturbed);
}

static void put(struct block* block, void* at, size_t size) {
  *block = (struct block){at, size};
  if (at == NULL) {
    refused();
    return;
  }
  CHECK(malloc_usable_size(at) >= size);
  stamp(at, size, (unsigned)size);
}

static void drop(struct block* block) {
  CHECK(block->at == NULL || stamp_kept(block->at, block->size, block->size, (unsigned)block->size));
  free(block->at);
  block->at = NULL;
}

static void resize(struct block* block, size_t size) {
  if (block->at == NULL) {
    return;
  }
  errno = 0;
  void* at = realloc(block->at, size);
  if (at == NULL) {
    refused();
    CHECK(stamp_kept(block->at, block->size, block->size, (unsigned)block->size));
    return;
  }
  CHECK(stamp_kept(at, block->size, block->size < size ? block->size : size, (unsigned)block->size));
  block->at = at;
  block->size = size;
  stamp(at, size, (unsigned)size);
}

static void get(struct block* block, size_t size, unsigned way) {
  void* at = NULL;
  errno = 0;
  if (way % 4 == 0) {
    at = calloc(size, 1);
    CHECK(at == NULL || all_zero(at, size));
  } else if (way % 4 == 1) {
    errno = posix_memalign(&at, (size_t)64 << (way % 8), size);
    CHECK(at == NULL || aligned_to(at, (size_t)64 << (way % 8)));
  } else {
    at = malloc(size);
  }
  put(block, at, size);
}

static size_t some_size(uint64_t* state) { return 1 + random_below(state, (size_t)32 << random_below(state, 13)); }

static void* work(void* seed) {
  uint64_t state = 1 + *(const unsigned*)seed;
  struct block blocks[PLACES] = {{NULL, 0}};
  for (unsigned round = 0; round < 300; ++round) {
    struct block* const block = &blocks[random_below(&state, PLACES)];
    if (block->at != NULL && random_below(&state, 4) == 0) {
      resize(block, some_size(&state));
      continue;
    }
    drop(block);
    get(block, some_size(&state), round);
    if (round % 5 == 0) { /* to another thread, for one of its */
      pthread_mutex_lock(&exchange_lock);
      struct block* const place = &exchange[random_below(&state, 32)];
      const struct block mine = *block;
      *block = *place;
      *place = mine;
      pthread_mutex_unlock(&exchange_lock);
    }
  }
  for (int i = 0; i < PLACES; ++i) {
    drop(&blocks[i]);
  }
  return NULL;
}

/* Two that stand in each other's way. */
static void grow(void) {
  struct block blocks[2];
  for (int i = 0; i < 2; ++i) {
    get(&blocks[i], 200000, 2);
  }
  for (size_t size = 300000; size < 3 * MIB; size = size * 3 / 2) {
    resize(&blocks[0], size);
    resize(&blocks[1], size + 4096);
  }
  resize(&blocks[0], 400000);
  drop(&blocks[1]);
  get(&blocks[1], 2 * MIB, 0);
  drop(&blocks[0]);
  drop(&blocks[1]);
}

static void fork_once(unsigned seed) {
  const pid_t child = fork();
  if (child == 0) {
    alarm(50);
    work(&seed);
    _exit(0);
  }
  CHECK(child > 0);
  int status = -1;
  CHECK(waitpid(child, &status, 0) == child);
  CHECK(WIFEXITED(status) && WEXITSTATUS(status) == 0);
}

static struct stealth_statistics figures(void) {
  struct stealth_statistics now;
  memset(&now, 0, sizeof now);
  now.size = sizeof now;
  int (*ask)(struct stealth_statistics*) = NULL;
  void* symbol = dlsym(RTLD_DEFAULT, "stealth_stats");
  CHECK(symbol != NULL);
  memcpy((void*)&ask, &symbol, sizeof ask);
  CHECK(ask(&now) == STEALTH_OK);
  return now;
}

int main(void) {
  const char* injected = getenv("INJECTED");
  CHECK(injected != NULL);
  undisturbed = strcmp(injected, "none") == 0;
  once = strcmp(injected, "once") == 0;
  require_stealth();
  unsigned seeds[THREADS] = {7, 8};
  pthread_t threads[THREADS];
  int made[THREADS];
  grow();
  for (int i = 0; i < THREADS; ++i) { /* where it has no memory for one, the C library says so */
    made[i] = pthread_create(&threads[i], NULL, work, &seeds[i]) == 0;
    CHECK(made[i] || !undisturbed);
  }
  work(&seeds[0]);
  for (int i = 0; i < THREADS; ++i) {
    CHECK(!made[i] || pthread_join(threads[i], NULL) == 0);
  }
  fork_once(9);
  malloc_trim(0);
  grow();
  for (int i = 0; i < 32; ++i) {
    drop(&exchange[i]);
  }
  malloc_trim(0);
  malloc_trim(0);
  const struct stealth_statistics now = figures();
  const struct mallinfo2 in_use = mallinfo2();
  CHECK(in_use.uordblks + in_use.hblkhd < MIB / 2); /* the C library's own */
  CHECK(now.held < 2 * MIB || (!once && !undisturbed));
  return 0;
}
