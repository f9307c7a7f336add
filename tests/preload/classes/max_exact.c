/* max caps a class exactly: of 150 blocks of 4,000 bytes 100 come from the class of 4 KiB, and what follows is the
 * policy's choice. A block that comes back makes room again. max_exact grant|enomem */
#include "../support/test.h"

enum { WANTED = 150, MAX = 100 };

int main(int argc, char **argv) {
  static void *blocks[WANTED];
  int pooled = 0, refused = 0;
  require_stealth();
  CHECK(argc == 2);
  const int grant = strcmp(argv[1], "grant") == 0;
  const double begin = seconds_now();
  for (int i = 0; i < WANTED; ++i) {
    errno = 0;
    blocks[i] = malloc(4000);
    CHECK(blocks[i] != NULL || errno == ENOMEM);
    refused += blocks[i] == NULL;
    pooled += blocks[i] != NULL && malloc_usable_size(blocks[i]) == 4096; /* libc's would have 4,008 */
  }
  CHECK(seconds_now() - begin < 20);
  CHECK(pooled == MAX || standing_in());
  CHECK(refused == (grant ? 0 : WANTED - MAX) || standing_in());
  for (int i = 0; i < MAX; ++i) {
    CHECK(blocks[i] != NULL);
    fill(blocks[i], 0, 4000, (unsigned)i);
  }
  free(blocks[50]);
  blocks[50] = malloc(4000);
  CHECK(blocks[50] != NULL && (malloc_usable_size(blocks[50]) == 4096 || standing_in()));
  for (int i = 0; i < MAX; ++i) {
    CHECK(i == 50 || holds(blocks[i], 0, 4000, (unsigned)i));
  }
  for (int i = 0; i < WANTED; ++i) {
    free(blocks[i]);
  }
  return 0;
}
