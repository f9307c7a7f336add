/* A program of one thread whose signal handler forks, whatever it interrupts: malloc, free, or a fork with its
 * handlers. Each child ends at once, or goes on where the signal came in. */
#include <signal.h>
#include <sys/wait.h>
#include <time.h>

#include "../support/test.h"

enum { BLOCKS = 500, SIGNALS = 400 };

static volatile sig_atomic_t signals, in_malloc, goes_on;
static pid_t first;

static void expect_end(pid_t child) {
  int status = -1;
  pid_t ended = 0;
  do {
    ended = waitpid(child, &status, 0);
  } while (ended < 0 && errno == EINTR);
  CHECK(ended == child && WIFEXITED(status) && WEXITSTATUS(status) == 0);
}

static void fork_at_once(int unused) {
  const int saved = errno;
  (void)unused;
  ++signals;
  const pid_t child = fork();
  CHECK(child >= 0);
  if (child == 0) {
    if (!in_malloc || signals % 20 != 0) {
      _exit(0);
    }
    goes_on = 1; /* what was interrupted comes to its end in the child, too */
    return;
  }
  expect_end(child);
  errno = saved;
}

int main(void) {
  static void* blocks[BLOCKS];
  uint64_t state = 21;
  const struct sigaction action = {.sa_handler = fork_at_once};
  const struct itimerspec every = {{0, 700000}, {0, 700000}}, never = {{0, 0}, {0, 0}};
  struct sigevent event = {.sigev_notify = SIGEV_SIGNAL, .sigev_signo = SIGUSR1};
  timer_t timer;
  require_stealth();
  alarm(120);
  first = getpid();
  CHECK(sigaction(SIGUSR1, &action, NULL) == 0);
  CHECK(timer_create(CLOCK_MONOTONIC, &event, &timer) == 0);
  CHECK(timer_settime(timer, 0, &every, NULL) == 0);
  for (int i = 0; signals < SIGNALS && !goes_on; ++i) {
    const size_t place = random_below(&state, BLOCKS);
    in_malloc = 1;
    free(blocks[place]);
    blocks[place] = malloc(1 + random_below(&state, 70000));
    in_malloc = 0;
    CHECK(blocks[place] != NULL);
    if (!goes_on && i % 8 == 0) {
      const pid_t child = fork();
      CHECK(child >= 0);
      if (child == 0) {
        _exit(0);
      }
      expect_end(child);
    }
  }
  CHECK(goes_on || timer_settime(timer, 0, &never, NULL) == 0); /* a child has no timers */
  for (int i = 0; i < BLOCKS; ++i) {
    free(blocks[i]);
  }
  _exit(getpid() == first || goes_on ? 0 : 1); /* the figures are no part of it */
}
