/* Every thread of the program waits for memory, the first one, too. The figures can be read all the same: here by a
 * signal handler, which interrupts the first thread in the middle of its malloc. */
#include <pthread.h>
#include <signal.h>
#include <stdatomic.h>
#include <sys/time.h>

#include "api.h"

enum { OTHERS = 3 };

static volatile sig_atomic_t inside;
static atomic_int seen;
static struct stealth_statistics snapshot;

static void look(int number) {
  const struct stealth_statistics now = stats_now();
  if (now.waiting_now == OTHERS + 1 && inside && !atomic_load(&seen)) {
    snapshot = now;
    atomic_store(&seen, 1);
  }
  (void)number;
}

static void* grow(void* unused) {
  void* block = NULL;
  (void)unused;
  while ((block = touched(MIB)) != NULL) {
    keep(block);
  }
  CHECK(errno == ENOMEM);
  return NULL;
}

int main(void) {
  pthread_t threads[OTHERS];
  sigset_t alarm_only;
  load_api();
  sigemptyset(&alarm_only);
  sigaddset(&alarm_only, SIGALRM);
  pthread_sigmask(SIG_BLOCK, &alarm_only, NULL); /* the others inherit this */
  for (int i = 0; i < OTHERS; ++i) {
    CHECK(pthread_create(&threads[i], NULL, grow, NULL) == 0);
  }
  struct sigaction action;
  memset(&action, 0, sizeof action);
  action.sa_handler = look;
  CHECK(sigaction(SIGALRM, &action, NULL) == 0);
  pthread_sigmask(SIG_UNBLOCK, &alarm_only, NULL);
  const struct itimerval often = {{0, 5000}, {0, 5000}};
  CHECK(setitimer(ITIMER_REAL, &often, NULL) == 0);
  inside = 1;
  grow(NULL);
  inside = 0;
  const struct itimerval never = {{0, 0}, {0, 0}};
  CHECK(setitimer(ITIMER_REAL, &never, NULL) == 0);
  for (int i = 0; i < OTHERS; ++i) {
    CHECK(pthread_join(threads[i], NULL) == 0);
  }

  CHECK(atomic_load(&seen));
  CHECK(snapshot.capacity == 32 * MIB);
  CHECK(snapshot.soft_point == 32 * MIB / 1000 * 900);
  CHECK(snapshot.held > 28 * MIB && snapshot.held <= 34 * MIB && snapshot.peak >= snapshot.held);
  CHECK(snapshot.waits == 0 && snapshot.grants == 0 && snapshot.refusals == 0);

  const struct stealth_statistics now = stats_now();
  uint64_t sum = 0, late = 0;
  for (int i = 0; i < STEALTH_STALL_BUCKETS; ++i) {
    sum += now.histogram[i];
    late += i >= 20 ? now.histogram[i] : 0; /* from 2^19 us on */
  }
  CHECK(now.waiting_now == 0);
  CHECK(now.waits == OTHERS + 1 && sum == now.waits && late == now.waits);
  CHECK(now.refusals == OTHERS + 1);
  CHECK(now.waited_ns >= 900000000ULL * (OTHERS + 1));
  CHECK(now.longest_call_ns >= 900000000 && now.longest_call_ns <= now.waited_ns);
  CHECK(now.longest_sleep_ns > 0 && now.longest_sleep_ns <= now.longest_call_ns);
  return 0;
}
