/* Random use of the whole family against a shadow table: stress THREADS OPERATIONS [asked]. Any thread takes any slot,
 * so most frees with several threads are of blocks that another thread allocated. With `asked`, one more thread trims
 * and asks for figures all the time. */
#include <pthread.h>
#include <stdatomic.h>

#include "../support/stamp.h"

enum { SLOTS = 2048 };

struct slot {
  atomic_flag taken;
  unsigned seed;
  unsigned char* block;
  size_t size;
};

static struct slot slots[SLOTS];
static long operations;
static atomic_int working = 1;

static size_t some_size(uint64_t* state) {
  const size_t kind = random_below(state, 1000);
  if (kind < 700) {
    return random_below(state, 513);
  }
  if (kind < 900) {
    return random_below(state, 8 * KIB);
  }
  return kind < 995 ? random_below(state, 160 * KIB) : random_below(state, 3 * MIB);
}

static unsigned char* take(uint64_t* state, size_t size) {
  void* block = NULL;
  const size_t alignment = (size_t)16 << random_below(state, 9);
  switch (random_below(state, 8)) {
    case 0:
      block = calloc(1, size);
      CHECK(block == NULL || all_zero(block, size));
      return block;
    case 1:
      CHECK(posix_memalign(&block, alignment, size) == 0 && aligned_to(block, alignment));
      return block;
    case 2:
      block = reallocarray(NULL, size, 1);
      return block;
    default:
      return malloc(size);
  }
}

static void renew(struct slot* slot, uint64_t* state) {
  const size_t size = some_size(state);
  slot->block = take(state, size);
  CHECK(slot->block != NULL && aligned_to(slot->block, 16) && malloc_usable_size(slot->block) >= size);
  slot->size = size;
  slot->seed = (unsigned)next_random(state);
  stamp(slot->block, size, slot->seed);
}

static void resize(struct slot* slot, uint64_t* state) {
  const size_t size = 1 + some_size(state);
  slot->block = realloc(slot->block, size);
  /* A block that jemalloc gave stays with it, and there a block of 8 bytes has its own alignment. */
  CHECK(slot->block != NULL && aligned_to(slot->block, size < 16 ? 8 : 16));
  CHECK(stamp_kept(slot->block, slot->size, size < slot->size ? size : slot->size, slot->seed));
  slot->size = size;
  stamp(slot->block, size, slot->seed);
}

static void* work(void* argument) {
  uint64_t state = 1 + (uint64_t)(uintptr_t)argument;
  for (long i = 0; i < operations; ++i) {
    struct slot* slot = &slots[random_below(&state, SLOTS)];
    if (atomic_flag_test_and_set(&slot->taken)) {
      continue;
    }
    if (slot->block == NULL) {
      renew(slot, &state);
    } else {
      CHECK(stamp_kept(slot->block, slot->size, slot->size, slot->seed));
      if (random_below(&state, 3) == 0) {
        resize(slot, &state);
      } else {
        free(slot->block);
        slot->block = NULL;
      }
    }
    atomic_flag_clear(&slot->taken);
  }
  return NULL;
}

static void* ask(void* nothing) {
  FILE* sink = fopen("/dev/null", "w");
  CHECK(sink != NULL);
  while (atomic_load(&working) != 0) {
    malloc_trim(0);
    CHECK(mallinfo2().uordblks < SIZE_MAX / 2);
    CHECK(malloc_info(0, sink) == 0);
    usleep(300);
  }
  fclose(sink);
  return nothing;
}

int main(int argc, char** argv) {
  pthread_t threads[64], asker;
  CHECK(argc == 3 || argc == 4);
  const int count = atoi(argv[1]);
  operations = atol(argv[2]);
  require_stealth();
  if (argc == 4) {
    CHECK(pthread_create(&asker, NULL, ask, NULL) == 0);
  }
  if (count == 1) {
    work(NULL); /* no thread at all: a program with one thread takes other ways */
  }
  for (int i = 0; i < count && count > 1; ++i) {
    CHECK(pthread_create(&threads[i], NULL, work, (void*)(uintptr_t)(77 * (i + 1))) == 0);
  }
  for (int i = 0; i < count && count > 1; ++i) {
    CHECK(pthread_join(threads[i], NULL) == 0);
  }
  atomic_store(&working, 0);
  if (argc == 4) {
    CHECK(pthread_join(asker, NULL) == 0);
  }
  for (int i = 0; i < SLOTS; ++i) {
    CHECK(slots[i].block == NULL || stamp_kept(slots[i].block, slots[i].size, slots[i].size, slots[i].seed));
    free(slots[i].block);
  }
  return 0;
}
