/* The same pool in C: a handle, error codes, and what a misused block brings.
 *
 *   cc -std=c99 pool.c $(pkg-config --cflags --libs stealthpool) -o pool */
#include <stdio.h>
#include <stealth/stealth.h>
#include <string.h>

#define BLOCK_SIZE 8192

static int failed(const char* what, int error) {
  fprintf(stderr, "%s: %s\n", what, stealth_error_message(error));
  return 1;
}

int main(void) {
  struct stealth_pool_options options;
  struct stealth_pool_statistics now;
  stealth_pool* pool;
  void* block;
  int error;

  memset(&options, 0, sizeof options); /* all else takes its default */
  options.size = sizeof options;
  options.block_size = BLOCK_SIZE;
  options.preallocate = 10;
  options.flags = STEALTH_POOL_WIPE_ON_PUT;
  error = stealth_pool_create(100, &options, &pool);
  if (error != STEALTH_OK) return failed("stealth_pool_create", error);

  error = stealth_pool_get(pool, &block);
  if (error != STEALTH_OK) return failed("stealth_pool_get", error);
  strcpy(block, "written into a block");

  now.size = sizeof now;
  error = stealth_pool_stats(pool, &now);
  if (error != STEALTH_OK) return failed("stealth_pool_stats", error);
  printf("%u of %u blocks of %u bytes are out\n", (unsigned)now.in_use, (unsigned)now.max_blocks,
         (unsigned)now.block_size);

  error = stealth_pool_put(pool, block, BLOCK_SIZE);
  if (error != STEALTH_OK) return failed("stealth_pool_put", error);
  error = stealth_pool_put(pool, block, BLOCK_SIZE);
  printf("put once more: %s\n", stealth_error_message(error));
  if (error != STEALTH_INVALID_BLOCK) return 1;

  error = stealth_pool_destroy(pool);
  if (error != STEALTH_OK) return failed("stealth_pool_destroy", error);
  return stealth_pool_get(pool, &block) == STEALTH_INVALID_HANDLE ? 0 : 1;
}
