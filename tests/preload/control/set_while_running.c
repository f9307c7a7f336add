/* What a setting does to a program that runs: set_while_running soft|mode|capacity|purge-delay. */
#include "api.h"

static void soft(void) {
  set("capacity", "1g");
  CHECK(stats_now().soft_point == 1024 * MIB / 1000 * 900);
  set("STEALTH_SOFT", "50%");
  CHECK(stats_now().soft_point == 1024 * MIB / 1000 * 500);
}

/* Over the capacity without a delay, and with one again. */
static void mode(void) {
  static void* blocks[48];
  set("mode", "off");
  for (int i = 0; i < 40; ++i) {
    CHECK((blocks[i] = touched(MIB)) != NULL);
  }
  struct stealth_statistics now = stats_now();
  CHECK(now.mode == STEALTH_MODE_OFF && now.waits == 0 && now.over > 0 && now.held > now.capacity);
  set("mode", "observe");
  for (int i = 40; i < 44; ++i) {
    CHECK((blocks[i] = touched(MIB)) != NULL);
  }
  now = stats_now();
  CHECK(now.mode == STEALTH_MODE_OBSERVE && now.waits == 0 && now.observed_ns > 0);
  set("mode", "enforce");
  CHECK(stats_now().mode == STEALTH_MODE_ENFORCE);
  CHECK(touched(MIB) == NULL);
  CHECK(stats_now().refusals == 1);
}

/* Lowered below what is held: nothing is taken away, and more cannot be had before enough came back. */
static void capacity(void) {
  static void* blocks[24];
  for (int i = 0; i < 24; ++i) {
    CHECK((blocks[i] = touched(MIB)) != NULL);
  }
  set("capacity", "16m");
  struct stealth_statistics now = stats_now();
  CHECK(now.capacity == 16 * MIB && now.over > 7 * MIB && now.over < 10 * MIB);
  CHECK(touched(MIB) == NULL);
  for (int i = 0; i < 12; ++i) {
    free(blocks[i]);
  }
  CHECK((blocks[0] = touched(MIB)) != NULL);
  set("capacity", "none");
  now = stats_now();
  CHECK(now.capacity == 0 && now.soft_point == 0 && now.over == 0);
}

/* Free memory is kept, until it is no more to be kept: then it goes at once. */
static void purge_delay(void) {
  static void* blocks[24];
  for (int i = 0; i < 24; ++i) {
    CHECK((blocks[i] = touched(MIB)) != NULL);
  }
  for (int i = 0; i < 24; ++i) {
    free(blocks[i]);
  }
  struct stealth_statistics now = stats_now();
  CHECK(now.idle >= 16 * MIB); /* a thread keeps a few large blocks for itself */
  const size_t resident = resident_bytes();
  set("purge-delay", "0");
  now = stats_now();
  CHECK(now.idle == 0);
  CHECK(resident_bytes() + 16 * MIB <= resident);
}

int main(int argc, char** argv) {
  load_api();
  CHECK(argc == 2);
  if (strcmp(argv[1], "soft") == 0) {
    soft();
  } else if (strcmp(argv[1], "mode") == 0) {
    mode();
  } else if (strcmp(argv[1], "capacity") == 0) {
    capacity();
  } else {
    CHECK(strcmp(argv[1], "purge-delay") == 0);
    purge_delay();
  }
  return 0;
}
