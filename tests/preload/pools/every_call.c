/* Every function of pool.h from C99, linked with libstealthpool: alone, and under libstealth.so. */
#include <stealth/pool.h>

#include "../support/test.h"

#define BLOCKS 100

static struct stealth_pool_statistics figures(stealth_pool* pool) {
  struct stealth_pool_statistics now;
  memset(&now, 0xee, sizeof now);
  now.size = sizeof now;
  CHECK(stealth_pool_stats(pool, &now) == STEALTH_OK);
  CHECK(now.size == sizeof now);
  return now;
}

static void create_and_destroy(void) {
  struct stealth_pool_options options;
  stealth_pool* pool = TEST_CAST(stealth_pool*, &options);
  CHECK(stealth_pool_create(BLOCKS, NULL, NULL) == STEALTH_INVALID_ARGUMENT);
  CHECK(stealth_pool_create(0, NULL, &pool) == STEALTH_INVALID_OPTIONS && pool == NULL);
  memset(&options, 0, sizeof options);
  CHECK(stealth_pool_create(BLOCKS, &options, &pool) == STEALTH_INVALID_ARGUMENT);
  options.size = sizeof options;
  CHECK(stealth_pool_create(BLOCKS, &options, &pool) == STEALTH_OK);
  CHECK(figures(pool).block_size == STEALTH_POOL_DEFAULT_BLOCK_SIZE && figures(pool).max_blocks == BLOCKS);
  CHECK(stealth_pool_destroy(pool) == STEALTH_OK);
  options.flags = 1u << 30;
  CHECK(stealth_pool_create(BLOCKS, &options, &pool) == STEALTH_INVALID_OPTIONS);
  options.flags = 0;
  options.preallocate = BLOCKS + 1;
  CHECK(stealth_pool_create(BLOCKS, &options, &pool) == STEALTH_PREALLOC_OUT_OF_BOUNDS);
}

/* Programs of other versions of the library, with structures of other lengths. */
static void other_versions(void) {
  struct {
    struct stealth_pool_options options;
    uint64_t later[4];
  } longer;
  struct {
    struct stealth_pool_statistics figures;
    uint64_t later[4];
  } more;
  stealth_pool* pool = NULL;
  memset(&longer, 0, sizeof longer);
  longer.options.size = sizeof longer;
  longer.options.block_size = 64;
  CHECK(stealth_pool_create(BLOCKS, &longer.options, &pool) == STEALTH_OK);
  memset(&more, 0xee, sizeof more);
  more.figures.size = sizeof more;
  CHECK(stealth_pool_stats(pool, &more.figures) == STEALTH_OK);
  CHECK(more.figures.size == sizeof more.figures && more.later[0] == 0xeeeeeeeeeeeeeeee);
  memset(&more, 0xee, sizeof more);
  more.figures.size = offsetof(struct stealth_pool_statistics, allocated);
  CHECK(stealth_pool_stats(pool, &more.figures) == STEALTH_OK);
  CHECK(more.figures.max_blocks == BLOCKS && more.figures.allocated == 0xeeeeeeeeeeeeeeee);
  more.figures.size = 8;
  CHECK(stealth_pool_stats(pool, &more.figures) == STEALTH_INVALID_ARGUMENT);
  CHECK(stealth_pool_stats(pool, NULL) == STEALTH_INVALID_ARGUMENT);
  CHECK(stealth_pool_destroy(pool) == STEALTH_OK);
  longer.later[3] = 1; /* asks for something that this library does not have */
  CHECK(stealth_pool_create(BLOCKS, &longer.options, &pool) == STEALTH_INVALID_OPTIONS && pool == NULL);
  longer.options.size = 8;
  CHECK(stealth_pool_create(BLOCKS, &longer.options, &pool) == STEALTH_INVALID_ARGUMENT);
}

static void blocks(void) {
  stealth_pool* pool = NULL;
  void* all[BLOCKS];
  void* one = all;
  uint64_t bytes = 1;
  int owns = 7;
  CHECK(stealth_pool_create(BLOCKS, NULL, &pool) == STEALTH_OK);
  CHECK(stealth_pool_get(pool, NULL) == STEALTH_INVALID_ARGUMENT);
  CHECK(stealth_pool_get_bulk(pool, all, BLOCKS, sizeof *all) == STEALTH_OK);
  CHECK(stealth_pool_get(pool, &one) == STEALTH_POOL_FULL && one == NULL);
  CHECK(stealth_pool_get_for(pool, 1000000, &one) == STEALTH_TIMED_OUT && one == NULL);
  CHECK(stealth_pool_get_until(pool, 1, &one) == STEALTH_TIMED_OUT && one == NULL);
  CHECK(figures(pool).in_use == BLOCKS && figures(pool).high_water == BLOCKS);
  for (int i = 0; i < BLOCKS; ++i) memset(all[i], i, STEALTH_POOL_DEFAULT_BLOCK_SIZE);
  for (int i = 0; i < BLOCKS; ++i) CHECK(TEST_CAST(char*, all[i])[4095] == i);
  CHECK(stealth_pool_owns(pool, TEST_CAST(char*, all[5]) + 100, &owns) == STEALTH_OK && owns == 1);
  CHECK(stealth_pool_owns(pool, &pool, &owns) == STEALTH_OK && owns == 0);
  CHECK(stealth_pool_owns(pool, &pool, NULL) == STEALTH_INVALID_ARGUMENT);
  CHECK(stealth_pool_put(pool, all[0], 4095) == STEALTH_INVALID_BLOCK);
  CHECK(stealth_pool_put(pool, NULL, 4096) == STEALTH_INVALID_BLOCK);
  CHECK(stealth_pool_put(pool, all[0], 4096) == STEALTH_OK);
  CHECK(stealth_pool_put(pool, all[0], 4096) == STEALTH_INVALID_BLOCK);
  CHECK(stealth_pool_put_bulk(pool, all, BLOCKS, sizeof *all) == STEALTH_INVALID_BLOCK);
  CHECK(figures(pool).in_use == BLOCKS - 1);
  CHECK(stealth_pool_put_bulk(pool, all + 1, BLOCKS - 1, sizeof *all) == STEALTH_OK);
  CHECK(figures(pool).free == BLOCKS && figures(pool).held == BLOCKS * 4096);
  CHECK(stealth_pool_trim(pool, &bytes) == STEALTH_OK && bytes == BLOCKS * 4096);
  CHECK(stealth_pool_trim(pool, NULL) == STEALTH_OK);
  CHECK(figures(pool).allocated == 0);
  CHECK(stealth_pool_close(pool) == STEALTH_OK);
  CHECK(stealth_pool_close(pool) == STEALTH_OK);
  CHECK(stealth_pool_get(pool, &one) == STEALTH_POOL_CLOSED);
  CHECK(stealth_pool_trim(pool, NULL) == STEALTH_POOL_CLOSED);
  CHECK(stealth_pool_owns(pool, all[5], &owns) == STEALTH_POOL_CLOSED && owns == 0);
  CHECK(figures(pool).closed == 1 && figures(pool).allocated == 0 && figures(pool).max_blocks == BLOCKS);
  CHECK(stealth_pool_destroy(pool) == STEALTH_OK);
}

static void wrong_handle(stealth_pool* wrong) {
  void* block = &block;
  struct stealth_pool_statistics now;
  int owns = 1;
  now.size = sizeof now;
  CHECK(stealth_pool_get(wrong, &block) == STEALTH_INVALID_HANDLE && block == NULL);
  CHECK(stealth_pool_get_for(wrong, 1000, &block) == STEALTH_INVALID_HANDLE);
  CHECK(stealth_pool_get_until(wrong, 1000, &block) == STEALTH_INVALID_HANDLE);
  CHECK(stealth_pool_put(wrong, &block, 4096) == STEALTH_INVALID_HANDLE);
  CHECK(stealth_pool_get_bulk(wrong, &block, 1, 8) == STEALTH_INVALID_HANDLE);
  CHECK(stealth_pool_put_bulk(wrong, &block, 1, 8) == STEALTH_INVALID_HANDLE);
  CHECK(stealth_pool_stats(wrong, &now) == STEALTH_INVALID_HANDLE);
  CHECK(stealth_pool_owns(wrong, &block, &owns) == STEALTH_INVALID_HANDLE && owns == 0);
  CHECK(stealth_pool_trim(wrong, NULL) == STEALTH_INVALID_HANDLE);
  CHECK(stealth_pool_close(wrong) == STEALTH_INVALID_HANDLE);
  CHECK(stealth_pool_destroy(wrong) == STEALTH_INVALID_HANDLE);
}

static void wrong_handles(void) {
  stealth_pool* pool = NULL;
  stealth_pool* other = NULL;
  int here = 0;
  wrong_handle(NULL);
  wrong_handle(TEST_CAST(stealth_pool*, &here));
  wrong_handle(TEST_CAST(stealth_pool*, 1));
  CHECK(stealth_pool_create(BLOCKS, NULL, &pool) == STEALTH_OK);
  wrong_handle(TEST_CAST(stealth_pool*, address_of(pool) + 1));
  wrong_handle(TEST_CAST(stealth_pool*, address_of(pool) + 4096));
  CHECK(stealth_pool_destroy(pool) == STEALTH_OK);
  wrong_handle(pool);
  for (int i = 0; i < 3000; ++i) { /* its place has been used again since */
    CHECK(stealth_pool_create(1, NULL, &other) == STEALTH_OK && other != pool);
    CHECK(stealth_pool_destroy(other) == STEALTH_OK);
  }
  wrong_handle(pool);
}

int main(void) {
  create_and_destroy();
  other_versions();
  blocks();
  wrong_handles();
  return 0;
}
