/* The control API for programs that link nothing of libstealth: the interposer's functions, looked up by name. */
#ifndef TESTS_PRELOAD_CONTROL_API_H
#define TESTS_PRELOAD_CONTROL_API_H

#include <stealth/stealth.h>

#include "../support/test.h"

static struct {
  int (*stats)(struct stealth_statistics*);
  int (*set)(char const*, char const*);
  int (*check)(char const*, char const*, char*, size_t);
  int (*trim)(uint64_t*);
  int (*on_pressure)(stealth_pressure_callback*, void*, uint64_t*);
  int (*pressure_end)(uint64_t);
  char const* (*error_message)(int);
} api;

static inline void* api_symbol(const char* name) {
  void* symbol = dlsym(RTLD_DEFAULT, name);
  CHECK(symbol != NULL);
  return symbol;
}
#define API_LOAD(name)                                 \
  do {                                                 \
    void* found = api_symbol("stealth_" #name);        \
    memcpy((void*)&api.name, &found, sizeof api.name); \
  } while (0)

static inline void load_api(void) {
  require_stealth();
  API_LOAD(stats);
  API_LOAD(set);
  API_LOAD(check);
  API_LOAD(trim);
  API_LOAD(on_pressure);
  API_LOAD(pressure_end);
  API_LOAD(error_message);
}

static inline struct stealth_statistics stats_now(void) {
  struct stealth_statistics now;
  now.size = sizeof now;
  CHECK(api.stats(&now) == STEALTH_OK);
  CHECK(now.size == sizeof now);
  return now;
}

static inline void set(const char* name, const char* value) { CHECK(api.set(name, value) == STEALTH_OK); }

/* Polls until so many threads wait; a minute at most. */
static inline void until_waiting(uint64_t threads) {
  for (int i = 0; stats_now().waiting_now != threads; ++i) {
    CHECK(i < 60000);
    usleep(1000);
  }
}

static inline void* touched(size_t size) {
  void* block = malloc(size);
  if (block != NULL) {
    memset(block, 1, size);
  }
  return block;
}

#endif
