/* malloc_trim really trims: 128 MiB of small blocks are freed, by whom the argument says, and what was resident for
 * them goes back to the kernel at the call. trim own | by-other | of-other | of-ended | pinned */
#include <pthread.h>
#include <semaphore.h>
#include <sys/mman.h>

#include "../support/test.h"

enum { COUNT = 1 << 20, SIZE = 120 };

static void** blocks; /* kept outside malloc, so that only the blocks themselves count */
static sem_t done, leave;

static void allocate(void) {
  for (int i = 0; i < COUNT; ++i) {
    blocks[i] = malloc(SIZE);
    CHECK(blocks[i] != NULL);
    memset(blocks[i], 1, SIZE);
  }
}

/* In an order that follows no slab; `kept` > 0 leaves every so many-th block in place. */
static void release(int kept) {
  for (int i = 0; i < COUNT; ++i) {
    const int place = (int)(((uint64_t)i * 7919) % COUNT);
    if (kept == 0 || place % kept != 0) {
      free(blocks[place]);
    }
  }
}

/* A thread that does its part and then blocks in the program, where it runs nothing of ours any more. */
static void* part_of_other(void* part) {
  ((void (*)(void))(uintptr_t)part)();
  sem_post(&done);
  sem_wait(&leave);
  return NULL;
}

static void release_all(void) { release(0); }

static pthread_t in_other_thread(void (*part)(void)) {
  pthread_t thread;
  CHECK(pthread_create(&thread, NULL, part_of_other, (void*)(uintptr_t)part) == 0);
  sem_wait(&done);
  return thread;
}

int main(int argc, char** argv) {
  require_stealth();
  CHECK(argc == 2);
  const char* way = argv[1];
  sem_init(&done, 0, 0);
  sem_init(&leave, 0, 0);
  blocks = mmap(NULL, COUNT * sizeof(void*), PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_POPULATE, -1, 0);
  CHECK(blocks != MAP_FAILED);
  const size_t before = resident_bytes();
  pthread_t other = 0;
  if (strcmp(way, "own") == 0) {
    allocate();
    release(0);
  } else if (strcmp(way, "by-other") == 0) {
    allocate();
    other = in_other_thread(release_all);
  } else if (strcmp(way, "of-other") == 0) {
    other = in_other_thread(allocate);
    release(0);
  } else if (strcmp(way, "of-ended") == 0) {
    other = in_other_thread(allocate);
    sem_post(&leave);
    pthread_join(other, NULL);
    other = 0;
    release(0);
  } else {
    CHECK(strcmp(way, "pinned") == 0);
    allocate();
    release(4096); /* 256 blocks stay, one in half a MiB: whole pages between them are free */
  }
  const size_t full = resident_bytes();
  malloc_trim(0);
  const size_t after = resident_bytes();
  printf("%s: %zu MiB before, %zu freed, %zu trimmed\n", way, before / MIB, full / MIB, after / MIB);
  CHECK(after < before + 20 * MIB);
  if (other != 0) {
    sem_post(&leave);
    pthread_join(other, NULL);
  }
  CHECK(malloc_trim(64 * KIB) >= 0); /* also where there is nothing left to do */
  return 0;
}
