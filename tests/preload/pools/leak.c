/* A pool that ends with a block out, which is told in one line; leak traced: and in another one, where it was taken. */
#include <stealth/stealth.h>

#include "../support/test.h"

int main(int argc, char** argv) {
  struct stealth_pool_options options;
  stealth_pool* pool = NULL;
  void* block = NULL;
  keep(malloc(100));
  memset(&options, 0, sizeof options);
  options.size = sizeof options;
  options.trace_every = argc == 2 && strcmp(argv[1], "traced") == 0;
  CHECK(stealth_pool_create(10, &options, &pool) == STEALTH_OK);
  CHECK(stealth_pool_get(pool, &block) == STEALTH_OK);
  CHECK(stealth_pool_destroy(pool) == STEALTH_OK);
  return 0;
}
