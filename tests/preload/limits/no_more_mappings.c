/* vm.max_map_count is used up by the program itself: malloc then gives memory or NULL with ENOMEM, free works, and once
 * the mappings are gone everything is as before. */
#include <sys/mman.h>

#include "../support/stamp.h"

enum { TRIED = 4000 };

struct kept {
  void* block;
  size_t size;
};

static int refused;

static void take(struct kept* kept, uint64_t* state) {
  kept->size = 1 + random_below(state, (size_t)1 << random_below(state, 23));
  errno = 0;
  kept->block = malloc(kept->size);
  CHECK(kept->block != NULL || errno == ENOMEM);
  if (kept->block == NULL) {
    ++refused;
    return;
  }
  stamp(kept->block, kept->size, (unsigned)kept->size);
}

static void give_back(struct kept* kept, uint64_t* state) {
  if (kept->block == NULL) {
    return;
  }
  CHECK(stamp_kept(kept->block, kept->size, kept->size, (unsigned)kept->size));
  if (random_below(state, 4) == 0) { /* moving pages needs mappings too */
    void* moved = realloc(kept->block, kept->size * 3);
    CHECK(moved != NULL || errno == ENOMEM);
    kept->block = moved != NULL ? moved : kept->block;
    CHECK(stamp_kept(kept->block, kept->size, kept->size, (unsigned)kept->size));
  }
  free(kept->block);
  kept->block = NULL;
}

static void churn(uint64_t* state) {
  static struct kept kept[64];
  refused = 0;
  for (int i = 0; i < TRIED; ++i) {
    struct kept* one = &kept[random_below(state, 64)];
    if (one->block == NULL) {
      take(one, state);
    } else {
      give_back(one, state);
    }
  }
  for (int i = 0; i < 64; ++i) {
    give_back(&kept[i], state);
  }
  malloc_trim(0);
}

int main(void) {
  uint64_t state = 31;
  const size_t page = (size_t)sysconf(_SC_PAGESIZE), pages = 200000;
  require_stealth();
  churn(&state);
  CHECK(refused == 0);
  char* range = mmap(NULL, pages * page, PROT_READ, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
  CHECK(range != MAP_FAILED);
  size_t split = 0;
  while (split < pages && mprotect(range + split * page, page, PROT_NONE) == 0) {
    split += 2;
  }
  /* Splitting takes two at a time, so one may be left: single mappings use it up. */
  while (mmap(NULL, page, split++ % 2 == 0 ? PROT_READ : PROT_NONE, MAP_SHARED | MAP_ANONYMOUS, -1, 0) != MAP_FAILED) {
    CHECK(split < pages);
  }
  churn(&state);
  fprintf(stderr, "%d of %d refused with no mapping left\n", refused, TRIED);
  CHECK(munmap(range, pages * page) == 0);
  churn(&state);
  CHECK(refused == 0);
  return 0;
}
