/* The process is stopped (SIGSTOP) while a thread waits at the capacity, for longer than its patience, and goes on: the
 * thread still has the patience that was left, since those who could have released something were stopped as well. It
 * gets what another one frees then, and has not spun meanwhile. Run with a patience of 8 s and `enomem`. */
#include <signal.h>
#include <sys/resource.h>
#include <sys/wait.h>

#include "capacity.h"

enum { STOPPED_S = 10 };

static void* wants_memory(void* unused) {
  (void)unused;
  return malloc(2 * MIB);
}

/* The child, which was forked before anything was filled. */
static void stop_and_go_on(int begin, int done) {
  char byte = 0;
  if (read(begin, &byte, 1) != 1 || kill(getppid(), SIGSTOP) != 0) {
    _exit(1);
  }
  sleep_ms(STOPPED_S * 1000);
  _exit(kill(getppid(), SIGCONT) == 0 && write(done, "x", 1) == 1 ? 0 : 2);
}

static double seconds_used(void) {
  struct rusage usage;
  CHECK(getrusage(RUSAGE_SELF, &usage) == 0);
  return (double)(usage.ru_utime.tv_sec + usage.ru_stime.tv_sec) +
         1e-6 * (double)(usage.ru_utime.tv_usec + usage.ru_stime.tv_usec);
}

int main(void) {
  int begin[2], done[2], status = -1;
  char byte = 0;
  void* block = NULL;
  pthread_t thread;
  require_stealth();
  CHECK(pipe(begin) == 0 && pipe(done) == 0);
  const pid_t child = fork();
  CHECK(child >= 0);
  if (child == 0) {
    alarm(120);
    stop_and_go_on(begin[0], done[1]);
  }
  fill_up_to(32 * MIB);
  const double used = seconds_used();
  CHECK(pthread_create(&thread, NULL, wants_memory, NULL) == 0);
  until_waiting(1);
  const double stopped = seconds_now();
  CHECK(write(begin[1], "x", 1) == 1);
  CHECK(read(done[0], &byte, 1) == 1);
  CHECK(seconds_now() - stopped > STOPPED_S - 1); /* it was */
  sleep_ms(300);                                  /* so that the thread has found itself running before it is helped */
  give_back(4 * MIB);
  CHECK(pthread_join(thread, &block) == 0);
  CHECK(block != NULL);
  free(block);
  CHECK(seconds_used() - used < 3);
  CHECK(waitpid(child, &status, 0) == child && WIFEXITED(status) && WEXITSTATUS(status) == 0);
  return 0;
}
