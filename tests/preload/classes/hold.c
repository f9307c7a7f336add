/* hold SIZE COUNT [SIZE COUNT]…: takes blocks, writes them, checks them, and ends holding them, so that the exit
 * statistics show who served what. */
#include "../support/stamp.h"

int main(int argc, char** argv) {
  require_stealth();
  CHECK(argc % 2 == 1);
  for (int argument = 1; argument < argc; argument += 2) {
    const size_t size = strtoul(argv[argument], NULL, 10);
    const unsigned count = (unsigned)strtoul(argv[argument + 1], NULL, 10);
    unsigned char* last = NULL;
    for (unsigned i = 0; i < count; ++i) {
      unsigned char* block = malloc(size);
      CHECK(block != NULL && aligned_to(block, 16) && malloc_usable_size(block) >= size);
      stamp(block, size, i);
      CHECK(last == NULL || stamp_kept(last, size, size, i - 1));
      last = block;
    }
  }
  return 0;
}
