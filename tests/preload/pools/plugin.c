/* A plug-in that has libstealthpool.a in it. */
#include <stealth/buffer_pool.h>
#include <stealth/pool.h>

int use_pools(void);

int use_pools(void) {
  stealth_pool* pool = NULL;
  void* block = NULL;
  int failed = stealth_pool_create(10, NULL, &pool) != STEALTH_OK;
  failed += stealth_pool_get(pool, &block) != STEALTH_OK;
  failed += stealth_pool_put(pool, block, STEALTH_POOL_DEFAULT_BLOCK_SIZE) != STEALTH_OK;
  failed += stealth_pool_destroy(pool) != STEALTH_OK;
  stealth_buffer_pool* buffers = NULL;
  stealth_buffer* buffer = NULL;
  failed += stealth_buffer_pool_create(1000, NULL, &buffers) != STEALTH_OK;
  failed += stealth_buffer_pool_get(buffers, &buffer) != STEALTH_OK;
  failed += stealth_buffer_write(buffer, "text", 4) != STEALTH_OK;
  failed += stealth_buffer_release(buffer) != STEALTH_OK;
  failed += stealth_buffer_pool_destroy(buffers) != STEALTH_OK;
  return failed;
}
