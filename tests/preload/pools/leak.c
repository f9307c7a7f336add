/* A pool that ends with a block out, which is told in one line. */
#include <stealth/stealth.h>

#include "../support/test.h"

int main(void) {
  stealth_pool* pool = NULL;
  void* block = NULL;
  keep(malloc(100));
  CHECK(stealth_pool_create(10, NULL, &pool) == STEALTH_OK);
  CHECK(stealth_pool_get(pool, &block) == STEALTH_OK);
  CHECK(stealth_pool_destroy(pool) == STEALTH_OK);
  return 0;
}
