/* For the places where nobody may be held up: the process is full, a second thread is there that could release
 * something, and whoever asks for memory in an ordinary place waits; `grab` asks in the place under test. */
#ifndef TESTS_PRELOAD_CAPACITY_WAITLESS_H
#define TESTS_PRELOAD_CAPACITY_WAITLESS_H

#include "capacity.h"

enum { GRABS = 4 };
static const double at_once = 30; /* that nobody waits at all is asked for besides: this is for a hang */

/* Some blocks, all at once, and none of them refused: the policy is `grant`. */
static inline void grab(void) {
  const double begin = seconds_now();
  for (int i = 0; i < GRABS; ++i) {
    void* block = touched(MIB);
    CHECK(block != NULL);
    keep(block);
  }
  CHECK(seconds_now() - begin < at_once);
}

static inline void stand_at_capacity(void) {
  require_stealth();
  start_idle_thread();
  fill_up_to(32 * MIB);
}

#endif
