/* Every error of the control API, as a program meets it. */
#include "api.h"

static void nothing(enum stealth_pressure level, void* context) {
  (void)level;
  (void)context;
}

static void refused(const char* name, const char* value, int error, const char* reason) {
  char why[256] = "?";
  CHECK(api.set(name, value) == error);
  CHECK(api.check(name, value, why, sizeof why) == error);
  if (strcmp(why, reason) != 0) {
    fprintf(stderr, "%s\n%s\n", why, reason);
    check_failed(__FILE__, __LINE__, "the reason is as expected");
  }
  CHECK(strchr(api.error_message(error), ';') != NULL);
}

int main(void) {
  uint64_t handles[STEALTH_MOST_SUBSCRIPTIONS], one_more = 1;
  load_api();
  const struct stealth_statistics before = stats_now();
  refused("capacity", "lots", STEALTH_INVALID_VALUE,
          "STEALTH_CAPACITY='lots': not a size; accepted: bytes with k, m, g or t, N%, auto, none");
  refused("STEALTH_SOFT", "101%", STEALTH_INVALID_VALUE, "STEALTH_SOFT='101%': out of range; accepted: 0.1% to 100%");
  refused("backoff-patience", "100", STEALTH_INVALID_VALUE,
          "STEALTH_BACKOFF_PATIENCE='100': a time without its unit; accepted: a time with us, ms, s or m, 0 to 60m");
  refused("capacty", "1g", STEALTH_UNKNOWN_SETTING,
          "capacty: unknown setting; the nearest known name is STEALTH_CAPACITY");
  refused("classes", "all", STEALTH_NOT_LIVE,
          "STEALTH_CLASSES: is read at start only; set it in the environment of the program");
  refused(NULL, "1", STEALTH_INVALID_ARGUMENT, "");
  refused("capacity", NULL, STEALTH_INVALID_ARGUMENT, "");
  const struct stealth_statistics after = stats_now();
  CHECK(before.capacity == after.capacity && before.soft_point == after.soft_point);

  struct stealth_statistics small;
  small.size = 8;
  CHECK(api.stats(NULL) == STEALTH_INVALID_ARGUMENT && api.stats(&small) == STEALTH_INVALID_ARGUMENT);

  CHECK(api.on_pressure(NULL, NULL, &one_more) == STEALTH_INVALID_ARGUMENT && one_more == 0);
  CHECK(api.on_pressure(nothing, NULL, NULL) == STEALTH_INVALID_ARGUMENT);
  CHECK(api.pressure_end(0) == STEALTH_INVALID_HANDLE);
  CHECK(api.pressure_end(12345) == STEALTH_INVALID_HANDLE);
  for (int i = 0; i < STEALTH_MOST_SUBSCRIPTIONS; ++i) {
    CHECK(api.on_pressure(nothing, NULL, &handles[i]) == STEALTH_OK);
  }
  CHECK(api.on_pressure(nothing, NULL, &one_more) == STEALTH_TOO_MANY && one_more == 0);
  for (int i = 0; i < STEALTH_MOST_SUBSCRIPTIONS; ++i) {
    CHECK(api.pressure_end(handles[i]) == STEALTH_OK);
    CHECK(api.pressure_end(handles[i]) == STEALTH_INVALID_HANDLE);
  }
  return 0;
}
