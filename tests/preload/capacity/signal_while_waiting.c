/* A timer's handler interrupts a wait and allocates itself: it is served at once, each time, and the wait goes on to
 * its end, by the patience of 3 s or by what another thread releases: signal_while_waiting vain|fed. */
#include <signal.h>
#include <sys/time.h>

#include "capacity.h"

static volatile sig_atomic_t waiting, calls;
static volatile double slowest;

static void tick(int unused) {
  (void)unused;
  const double begin = seconds_now();
  void* small = malloc(100);
  void* large = malloc(MIB);
  CHECK(small != NULL && large != NULL);
  memset(small, 1, 100);
  memset(large, 1, MIB);
  free(small);
  free(large);
  const double took = seconds_now() - begin;
  if (waiting) {
    ++calls;
    slowest = took > slowest ? took : slowest;
  }
}

static void* release_later(void* unused) {
  while (calls < 15) {
    sleep_ms(1);
  }
  give_back(4 * MIB);
  return unused;
}

int main(int argc, char** argv) {
  const struct itimerval every = {{0, 20000}, {0, 20000}}, never = {{0, 0}, {0, 0}};
  const struct sigaction action = {.sa_handler = tick, .sa_flags = argc == 3 ? SA_RESTART : 0};
  pthread_t thread;
  require_stealth();
  CHECK(argc >= 2);
  const int vain = strcmp(argv[1], "vain") == 0;
  fill_up_to(32 * MIB);
  sigset_t alarms;
  sigemptyset(&alarms);
  sigaddset(&alarms, SIGALRM);
  CHECK(pthread_sigmask(SIG_BLOCK, &alarms, NULL) == 0); /* for the other thread: the waiter alone is interrupted */
  CHECK(pthread_create(&thread, NULL, vain ? idle_for_ever : release_later, NULL) == 0);
  CHECK(pthread_sigmask(SIG_UNBLOCK, &alarms, NULL) == 0);
  CHECK(sigaction(SIGALRM, &action, NULL) == 0 && setitimer(ITIMER_REAL, &every, NULL) == 0);
  waiting = 1;
  const double begin = seconds_now();
  errno = 0;
  void* block = malloc(2 * MIB);
  const double took = seconds_now() - begin;
  waiting = 0;
  setitimer(ITIMER_REAL, &never, NULL);
  printf("%.3f s, %d calls, slowest %.3f s\n", took, calls, slowest);
  if (!standing_in()) {
    CHECK(vain ? block == NULL && errno == ENOMEM : block != NULL);
    CHECK(took < 12 && (!vain || took >= 2.95));
    CHECK(calls >= 10);
  }
  CHECK(slowest < 2);
  free(block);
  return 0;
}
