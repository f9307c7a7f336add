/* exact_sizes REQUEST USABLE [REQUEST USABLE]…: which block serves which request, told by its usable size. A configured
 * class has blocks of exactly its size; what no class serves comes from the C library, which never has these sizes. */
#include "../support/test.h"

int main(int argc, char** argv) {
  int faults = 0;
  require_stealth();
  CHECK(argc % 2 == 1);
  for (int argument = 1; argument < argc; argument += 2) {
    const size_t request = strtoul(argv[argument], NULL, 10);
    const size_t expected = strtoul(argv[argument + 1], NULL, 10);
    for (int i = 0; i < 50; ++i) { /* more than one, so that a class has to grow */
      void* block = malloc(request);
      CHECK(block != NULL);
      const size_t usable = malloc_usable_size(block);
      if (usable != expected && i == 0) {
        fprintf(stderr, "%zu bytes came from a block of %zu, not %zu\n", request, usable, expected);
        ++faults;
      }
    }
  }
  CHECK(faults == 0 || standing_in());
  return 0;
}
