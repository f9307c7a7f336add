/* To know that others wait, rather than to sleep and hope so: asks the interposer, by its API. */
#ifndef TESTS_PRELOAD_SUPPORT_WAITING_H
#define TESTS_PRELOAD_SUPPORT_WAITING_H

#include <stealth/stealth.h>

#include "test.h"

/* The interposer's figures; all 0 where another allocator stands in. */
static inline struct stealth_statistics figures_now(void) {
  static int (*ask)(struct stealth_statistics*);
  struct stealth_statistics now;
  memset(&now, 0, sizeof now);
  if (standing_in()) {
    return now;
  }
  if (ask == NULL) {
    void* symbol = dlsym(RTLD_DEFAULT, "stealth_stats");
    CHECK(symbol != NULL);
    memcpy(TEST_CAST(void*, &ask), &symbol, sizeof ask);
  }
  now.size = sizeof now;
  CHECK(ask(&now) == STEALTH_OK);
  return now;
}

/* Polls until at least so many calls wait, for a minute at most. */
static inline void until_waiting(uint64_t calls) {
  for (int i = 0; !standing_in() && figures_now().waiting_now < calls; ++i) {
    CHECK(i < 60000);
    usleep(1000);
  }
}

/* Changes a setting of the running process. */
static inline void change(const char* name, const char* value) {
  int (*set)(const char*, const char*) = NULL;
  void* symbol = dlsym(RTLD_DEFAULT, "stealth_set");
  CHECK(symbol != NULL || standing_in());
  memcpy(TEST_CAST(void*, &set), &symbol, sizeof set);
  CHECK(standing_in() || set(name, value) == STEALTH_OK);
}

#endif
