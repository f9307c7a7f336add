/* stealth_trim: what is free goes back to the kernel, and the figure is right. STEALTH_PURGE_DELAY is long in this run.
 */
#include "api.h"

enum { LARGE = 48, SMALL = 16 * 1024 };

int main(void) {
  static void* large[LARGE];
  static void* small[SMALL];
  uint64_t bytes = 0;
  load_api();
  for (int i = 0; i < LARGE; ++i) {
    CHECK((large[i] = touched(MIB)) != NULL);
  }
  for (int i = 0; i < SMALL; ++i) {
    CHECK((small[i] = touched(KIB)) != NULL);
  }
  CHECK(api.trim(&bytes) == STEALTH_OK); /* settles what the start has left */
  const size_t full = resident_bytes();
  for (int i = 0; i < LARGE; ++i) {
    free(large[i]);
  }
  for (int i = 0; i < SMALL; ++i) {
    free(small[i]);
  }
  const uint64_t held = stats_now().held;
  CHECK(resident_bytes() + 8 * MIB > full); /* kept so far */
  CHECK(api.trim(&bytes) == STEALTH_OK);
  CHECK(bytes >= 63 * MIB && bytes <= 66 * MIB);
  CHECK(stats_now().held == held - bytes);
  CHECK(resident_bytes() + 63 * MIB <= full);
  CHECK(api.trim(&bytes) == STEALTH_OK);
  CHECK(bytes == 0);
  CHECK(api.trim(NULL) == STEALTH_OK);
  return 0;
}
