/* Built as C99, pedantically: the header is clean, and a program that uses it links. */
#include <stdio.h>
#include <stealth/stealth.h>

static void told(enum stealth_pressure level, void* context) { *(enum stealth_pressure*)context = level; }

int main(void) {
  struct stealth_statistics now;
  enum stealth_pressure level = STEALTH_PRESSURE_SOFT;
  uint64_t handle, bytes;
  char why[256];
  now.size = sizeof now;
  if (stealth_stats(&now) != STEALTH_OK || stealth_set("capacity", "1g") != STEALTH_OK) return 1;
  if (stealth_check("capacity", "x", why, sizeof why) != STEALTH_INVALID_VALUE) return 2;
  if (stealth_on_pressure(told, &level, &handle) != STEALTH_OK || stealth_pressure_end(handle) != STEALTH_OK) return 3;
  if (stealth_trim(&bytes) != STEALTH_OK) return 4;
  return printf("%s\n%s\n%s\n", stealth_version(), why, stealth_error_message(STEALTH_INVALID_VALUE)) < 0;
}
