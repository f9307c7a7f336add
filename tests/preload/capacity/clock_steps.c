/* The wall clock jumps back and forth by a year each time that it is asked, as if somebody set it all the time: waits
 * keep to their bounds, memory goes back when it is due, and nothing asks that clock at all. */
#include <sys/syscall.h>

#include "capacity.h"

static int asked;

/* In the C library's place, for libstealth too. */
int clock_gettime(clockid_t clock, struct timespec* now) {
  const int result = (int)syscall(SYS_clock_gettime, clock, now);
  if (clock == CLOCK_REALTIME || clock == CLOCK_REALTIME_COARSE || clock == CLOCK_TAI) {
    const int steps = __atomic_add_fetch(&asked, 1, __ATOMIC_SEQ_CST);
    now->tv_sec += (steps % 2 == 0 ? 1 : -1) * 365L * 24 * 3600;
  }
  return result;
}

static void* release_later(void* unused) {
  until_waiting(1);
  sleep_ms(50);
  give_back(4 * MIB);
  return unused;
}

int main(void) {
  struct timespec now;
  pthread_t thread;
  require_stealth();
  CHECK(clock_gettime(CLOCK_REALTIME, &now) == 0 && asked == 1); /* it does step */
  start_idle_thread();
  fill_up_to(32 * MIB);

  double begin = seconds_now();
  void* block = malloc(2 * MIB);
  CHECK(standing_in() || block == NULL);
  CHECK(standing_in() || (seconds_now() - begin > 0.45 && seconds_now() - begin < 30)); /* the patience is 500 ms */
  free(block);
  CHECK(pthread_create(&thread, NULL, release_later, NULL) == 0);
  begin = seconds_now();
  while ((block = malloc(2 * MIB)) == NULL) {
    CHECK(seconds_now() - begin < 60);
  }
  free(block);
  CHECK(pthread_join(thread, NULL) == 0);

  give_back(28 * MIB);
  const size_t before = resident_bytes();
  for (begin = seconds_now(); !standing_in() && resident_bytes() + 16 * MIB > before;) {
    CHECK(seconds_now() - begin < 60);
    sleep_ms(50);
    free(malloc(100 * KIB));
  }
  CHECK(asked == 1);
  return 0;
}
