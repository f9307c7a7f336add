/* overflow_aligned ALIGNMENT SIZE: a byte beyond the end of an aligned block. */
#include "../fault.h"

int main(int argc, char** argv) {
  require_stealth();
  CHECK(argc == 3);
  const size_t alignment = strtoul(argv[1], NULL, 10), size = strtoul(argv[2], NULL, 10);
  void* block = memalign(alignment, size);
  CHECK(aligned_to(block, alignment));
  accuse(block);
  write_byte(block, (ptrdiff_t)size, 120); /* no canary is even */
  free(block);
  return 0;
}
