/* realloc needs the old block and the new one for a moment, and yet asks for the difference only: a block of 8 MiB
 * grows by 1 MiB, in place and by moving, where 3 MiB are left to the capacity. */
#include "../support/stamp.h"
#include "capacity.h"

int main(void) {
  const size_t before = 8 * MIB;
  require_stealth();
  char* block = malloc(before);
  CHECK(block != NULL);
  void* behind = touched(MIB); /* so that it cannot stay where it is */
  CHECK(behind != NULL);
  start_idle_thread();
  stamp(block, before, 7);
  fill_up_to(29 * MIB);
  for (size_t size = before + MIB / 2; size <= before + MIB; size += MIB / 2) {
    const double begin = seconds_now();
    block = realloc(block, size);
    CHECK(block != NULL);
    CHECK(seconds_now() - begin < 60);
    CHECK(stamp_kept(block, before, before, 7));
    memset(block + before, 1, size - before);
  }
  CHECK(facts_now().waits == 0 && facts_now().grants == 0);
  free(block);
  keep(behind);
  return 0;
}
