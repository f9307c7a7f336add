/* No thread can be had for the callbacks: an error, and nothing is left behind. Under RLIMIT_NPROC, which does not bind
 * root; so under an address-space limit that has no room for a stack. */
#include <pthread.h>
#include <sys/resource.h>

#include "api.h"

static void nothing(enum stealth_pressure level, void* context) {
  (void)level;
  (void)context;
}

int main(void) {
  uint64_t handle = 1;
  struct rlimit before;
  load_api();
  CHECK(getrlimit(RLIMIT_AS, &before) == 0);
  struct rlimit none = before;
  none.rlim_cur = 0;
  CHECK(setrlimit(RLIMIT_AS, &none) == 0);
  const int error = api.on_pressure(nothing, NULL, &handle);
  CHECK(setrlimit(RLIMIT_AS, &before) == 0);
  CHECK(error == STEALTH_NO_THREAD && handle == 0);
  CHECK(api.on_pressure(nothing, NULL, &handle) == STEALTH_OK);
  CHECK(api.pressure_end(handle) == STEALTH_OK);
  return 0;
}
