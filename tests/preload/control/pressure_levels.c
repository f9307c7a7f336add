/* A program grows until it gets no more: it is told of the soft point, of the capacity, and that the policy decides, in
 * this order and at the right height. */
#include <pthread.h>
#include <stdatomic.h>
#include <sys/syscall.h>

#include "api.h"

static atomic_int calls[3];
static _Atomic uint64_t held[3];
static atomic_int order;
static atomic_long caller;

static void told(enum stealth_pressure level, void* context) {
  CHECK(context == (void*)&caller);
  if (atomic_fetch_add(&calls[level], 1) == 0) {
    atomic_store(&held[level], stats_now().held);
    CHECK(atomic_fetch_add(&order, 1) == (int)level);
  }
  atomic_store(&caller, syscall(SYS_gettid));
}

static void until_told(enum stealth_pressure level) {
  for (int i = 0; atomic_load(&calls[level]) == 0; ++i) {
    CHECK(i < 60000);
    usleep(1000);
  }
}

int main(void) {
  uint64_t handle = 0;
  void* block = NULL;
  load_api();
  CHECK(api.on_pressure(told, (void*)&caller, &handle) == STEALTH_OK);
  const struct stealth_statistics start = stats_now();
  int blocks = 0;
  while (stats_now().held + MIB <= start.soft_point) {
    CHECK((block = touched(MIB / 4)) != NULL);
    keep(block);
  }
  usleep(50 * 1000);
  CHECK(atomic_load(&calls[0]) + atomic_load(&calls[1]) + atomic_load(&calls[2]) == 0);
  while ((block = touched(MIB / 4)) != NULL) {
    keep(block);
    CHECK(++blocks < 100);
    if (stats_now().used > start.soft_point) {
      until_told(STEALTH_PRESSURE_SOFT);
    }
  }
  until_told(STEALTH_PRESSURE_EXHAUSTED);
  CHECK(atomic_load(&calls[STEALTH_PRESSURE_SOFT]) == 1); /* once while it stays above */
  CHECK(atomic_load(&calls[STEALTH_PRESSURE_CAPACITY]) >= 1);
  CHECK(atomic_load(&held[0]) > start.soft_point - MIB && atomic_load(&held[0]) < start.capacity);
  CHECK(atomic_load(&held[1]) > start.capacity - MIB && atomic_load(&held[1]) <= start.capacity + MIB);
  CHECK(atomic_load(&caller) != getpid() && atomic_load(&caller) != 0);
  CHECK(api.pressure_end(handle) == STEALTH_OK);
  return 0;
}
