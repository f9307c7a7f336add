/* A handler that mallocs and frees, under a storm of timer signals, while the main thread is in calls that always take
 * the slow path (large blocks). The slow path sees that it was entered again: no deadlock, no crash, no torn block.
 * What a handler may do that interrupts the hot path is another promise, and not looked at here. */
#include <signal.h>
#include <sys/time.h>

#include "../support/stamp.h"

static volatile sig_atomic_t storms;
static void* kept[16];

static void handler(int number) {
  const int saved = errno;
  const unsigned turn = (unsigned)storms;
  (void)number;
  void* small = malloc(100 + turn % 500);
  void* large = malloc(100 * KIB + turn % 1000);
  CHECK(small != NULL && large != NULL);
  stamp(small, 100, turn);
  stamp(large, 100 * KIB, turn);
  small = realloc(small, 2000);
  CHECK(small != NULL && stamp_kept(small, 100, 100, turn));
  CHECK(stamp_kept(large, 100 * KIB, 100 * KIB, turn));
  free(kept[turn % 16]);
  kept[turn % 16] = small;
  free(large);
  storms = storms + 1;
  errno = saved;
}

int main(void) {
  static char stack[256 * 1024];
  const stack_t other = {.ss_sp = stack, .ss_size = sizeof stack};
  const struct itimerval often = {{0, 1000}, {0, 1000}};
  const struct itimerval never = {{0, 0}, {0, 0}};
  struct sigaction action = {.sa_handler = handler, .sa_flags = SA_ONSTACK | SA_RESTART};
  uint64_t state = 23;
  void* blocks[8] = {0};
  size_t sizes[8] = {0};
  require_stealth();
  alarm(140);
  CHECK(sigaltstack(&other, NULL) == 0);
  CHECK(sigaction(SIGPROF, &action, NULL) == 0);
  CHECK(setitimer(ITIMER_PROF, &often, NULL) == 0);
  const double begin = seconds_now();
  while (storms < 300 || seconds_now() - begin < 2) {
    const size_t place = random_below(&state, 8);
    CHECK(blocks[place] == NULL || stamp_kept(blocks[place], sizes[place], sizes[place], (unsigned)place));
    free(blocks[place]);
    sizes[place] = 64 * KIB + random_below(&state, 2 * MIB);
    blocks[place] = malloc(sizes[place]);
    CHECK(blocks[place] != NULL);
    stamp(blocks[place], sizes[place], (unsigned)place);
    if (place == 0) {
      sizes[place] += MIB;
      blocks[place] = realloc(blocks[place], sizes[place]);
      CHECK(blocks[place] != NULL);
      stamp(blocks[place], sizes[place], (unsigned)place);
    }
    CHECK(seconds_now() - begin < 120);
  }
  CHECK(setitimer(ITIMER_PROF, &never, NULL) == 0);
  for (int i = 0; i < 8; ++i) {
    CHECK(blocks[i] == NULL || stamp_kept(blocks[i], sizes[i], sizes[i], (unsigned)i));
    free(blocks[i]);
  }
  for (int i = 0; i < 16; ++i) {
    free(kept[i]);
  }
  printf("%d signals\n", (int)storms);
  return 0;
}
