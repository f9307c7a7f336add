/* vfork and exec, posix_spawn, system and popen, again and again while a thread allocates: the first two run no fork
 * handlers and share our memory until exec. */
#include <pthread.h>
#include <spawn.h>
#include <stdatomic.h>
#include <sys/wait.h>

#include "../support/test.h"

extern char** environ;
static atomic_int stop;

static void* busy(void* unused) {
  uint64_t state = 11;
  while (atomic_load(&stop) == 0) {
    free(malloc(1 + random_below(&state, 50 * KIB)));
  }
  return unused;
}

static void expect_success(pid_t child) {
  int status = 0;
  CHECK(child > 0);
  CHECK(waitpid(child, &status, 0) == child && WIFEXITED(status) && WEXITSTATUS(status) == 0);
}

int main(void) {
  char* const arguments[] = {(char*)(uintptr_t) "true", NULL};
  pthread_t thread;
  require_stealth();
  CHECK(pthread_create(&thread, NULL, busy, NULL) == 0);
  for (int i = 0; i < 60; ++i) {
    void* before = malloc(100);
    pid_t child = vfork();
    if (child == 0) {
      execv("/bin/true", arguments);
      _exit(1);
    }
    expect_success(child);
    CHECK(posix_spawn(&child, "/bin/true", NULL, NULL, arguments, environ) == 0);
    expect_success(child);
    CHECK(posix_spawnp(&child, "true", NULL, NULL, arguments, environ) == 0);
    expect_success(child);
    CHECK(i % 6 != 0 || system("exit 0") == 0);
    if (i % 6 == 1) {
      char text[8] = "";
      FILE* pipe = popen("echo yes", "r");
      CHECK(pipe != NULL && fgets(text, sizeof text, pipe) != NULL && strcmp(text, "yes\n") == 0);
      CHECK(pclose(pipe) == 0);
    }
    free(before);
  }
  atomic_store(&stop, 1);
  CHECK(pthread_join(thread, NULL) == 0);
  return 0;
}
