/* One thread grows by blocks of 1 MiB to twice the capacity: grow grant|enomem|abort|off. Nobody else could free, so
 * each wait must end by itself, in time. */
#include "../support/test.h"

enum { WANTED = 64 };
static const double longest_allowed = 12; /* BACKOFF_MAX_ELAPSED is 200 ms in these runs */

int main(int argc, char** argv) {
  static char* blocks[WANTED];
  int refused = 0;
  double longest = 0;
  require_stealth();
  CHECK(argc == 2);
  const char* policy = argv[1];
  const double begin = seconds_now();
  for (int i = 0; i < WANTED; ++i) {
    const double before = seconds_now();
    errno = 0;
    blocks[i] = malloc(MIB);
    const double took = seconds_now() - before;
    longest = took > longest ? took : longest;
    CHECK(blocks[i] != NULL || errno == ENOMEM);
    refused += blocks[i] == NULL;
    if (blocks[i] != NULL) {
      memset(blocks[i], 1, MIB);
    }
  }
  const double elapsed = seconds_now() - begin;
  printf("%d refused, %.3f s, longest %.3f s\n", refused, elapsed, longest);
  CHECK(longest < longest_allowed && elapsed < 120);
  if (strcmp(policy, "grant") == 0 || strcmp(policy, "off") == 0) {
    CHECK(refused == 0);
  }
  CHECK(strcmp(policy, "off") != 0 || elapsed < 60);
  if (strcmp(policy, "enomem") == 0 && !standing_in()) {
    /* 32 MiB are the capacity; a few belong to the program itself and to what is half used. */
    CHECK(refused >= WANTED - 32 && refused <= WANTED - 24);
    free(blocks[3]);
    free(blocks[4]);
    blocks[3] = malloc(MIB);
    CHECK(blocks[3] != NULL);
  }
  CHECK(strcmp(policy, "abort") != 0 || standing_in()); /* it should not have come this far */
  return 0;
}
