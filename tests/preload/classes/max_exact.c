/* max caps a class exactly: of more requests than its max just so many get a block of its size, and what follows is the
 * policy's choice. A block that comes back makes room again. max_exact grant|enomem SIZE MAX */
#include "../support/test.h"

enum { MORE = 50, MOST = 200 };

/* A block of the class has exactly its size; the C library adds a header, and never has that. */
static int from_class(void* block, size_t size) { return block != NULL && malloc_usable_size(block) == size; }

int main(int argc, char** argv) {
  static void* blocks[MOST];
  int pooled = 0, refused = 0;
  require_stealth();
  CHECK(argc == 4);
  const size_t size = strtoul(argv[2], NULL, 10);
  const int max = atoi(argv[3]), wanted = max + MORE;
  CHECK(wanted <= MOST);
  const int grant = strcmp(argv[1], "grant") == 0;
  const double begin = seconds_now();
  for (int i = 0; i < wanted; ++i) {
    errno = 0;
    blocks[i] = malloc(size);
    CHECK(blocks[i] != NULL || errno == ENOMEM);
    refused += blocks[i] == NULL;
    pooled += from_class(blocks[i], size);
  }
  CHECK(seconds_now() - begin < 120);
  CHECK(pooled == max || standing_in());
  CHECK(refused == (grant ? 0 : MORE) || standing_in());
  for (int i = 0; i < max; ++i) {
    CHECK(blocks[i] != NULL);
    fill(blocks[i], 0, size, (unsigned)i);
  }
  free(blocks[5]);
  blocks[5] = malloc(size);
  CHECK(blocks[5] != NULL && (from_class(blocks[5], size) || standing_in()));
  for (int i = 0; i < max; ++i) {
    CHECK(i == 5 || holds(blocks[i], 0, size, (unsigned)i));
  }
  for (int i = 0; i < wanted; ++i) {
    free(blocks[i]);
  }
  return 0;
}
