/* The keeper keeps no process alive: not when its last thread ends, nor exit, nor exec. */
#include <pthread.h>

#include "keeper.h"

static void* short_life(void* unused) {
  (void)unused;
  usleep(50000);
  return NULL;
}

static void last_thread_ends(void) {
  pthread_t thread;
  CHECK(pthread_create(&thread, NULL, short_life, NULL) == 0);
  pthread_exit(NULL);
}

static char* g_self;

static void execs(void) {
  char again[] = "again";
  char* arguments[] = {g_self, again, NULL};
  execv(g_self, arguments);
  CHECK(0);
}

static void leaves(void) { exit(0); }

/* Without the C library, which would end the process with its last thread: nothing but the keeper is left then. */
static void main_thread_vanishes(void) { syscall(SYS_exit, 0); }

static void ends_within(void (*how)(void), double seconds) {
  const pid_t child = fork();
  if (child == 0) {
    alarm(60);
    use_until_kept();
    how();
    _exit(1);
  }
  const double start = seconds_now();
  expect_clean_end(child);
  CHECK(seconds_now() - start < seconds);
}

int main(int argc, char** argv) {
  require_stealth();
  if (argc > 1) {
    const char* const control = getenv("STEALTH_CONTROL");
    const int of_its_own = control != NULL && strcmp(control, "on") == 0; /* the new program's, from its start */
    CHECK(threads_now() == 1 + of_its_own);
    return 0;
  }
  g_self = argv[0];
  ends_within(last_thread_ends, 20);
  ends_within(execs, 20);
  ends_within(leaves, 20);
  ends_within(main_thread_vanishes, 40);
  return 0;
}
