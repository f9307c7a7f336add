/* fork while eight threads wait: in the child nobody waits for their sake. New threads come and go there, which take
 * over what is left of the eight; the last one frees 10 MiB, and fills the room again without a wait. In the parent all
 * go on. */
#include <sys/wait.h>

#include "capacity.h"

enum { WAITERS = 8 };

static void* wait_for_memory(void* unused) {
  void* block = malloc(MIB);
  CHECK(block != NULL);
  keep(block);
  return unused;
}

static void* pass_by(void* unused) {
  keep(malloc(100));
  return unused;
}

static void* fill_again(void* unused) {
  give_back(10 * MIB);
  for (int i = 0; i < 96; ++i) {
    void* block = touched(100 * KIB);
    CHECK(block != NULL);
    keep(block);
  }
  return unused;
}

static void run(void* (*work)(void*)) {
  pthread_t thread;
  CHECK(pthread_create(&thread, NULL, work, NULL) == 0);
  CHECK(pthread_join(thread, NULL) == 0);
}

static void child(void) {
  const unsigned long long before = facts_now().waits;
  for (int i = 0; i < 2 * WAITERS; ++i) {
    run(pass_by);
  }
  run(fill_again);
  CHECK(facts_now().waits == before);
  _exit(0);
}

int main(void) {
  pthread_t threads[WAITERS];
  int status = 0;
  require_stealth();
  fill_up_to(32 * MIB);
  for (int i = 0; i < WAITERS; ++i) {
    CHECK(pthread_create(&threads[i], NULL, wait_for_memory, NULL) == 0);
  }
  until_waiting(WAITERS);
  const pid_t process = fork();
  CHECK(process >= 0);
  if (process == 0) {
    alarm(120);
    child();
  }
  CHECK(waitpid(process, &status, 0) == process && status == 0);
  give_back(WAITERS * MIB + MIB);
  for (int i = 0; i < WAITERS; ++i) {
    CHECK(pthread_join(threads[i], NULL) == 0);
  }
  return 0;
}
