/* Handlers of fork allocate at the capacity, before and after, in parent and child. */
#include <sys/wait.h>

#include "waitless.h"

static void in_child(void) {
  grab();
  CHECK(facts_now().waits == 0);
}

int main(void) {
  stand_at_capacity();
  CHECK(pthread_atfork(grab, grab, in_child) == 0);
  for (int i = 0; i < 3; ++i) {
    int status = 0;
    const pid_t child = fork();
    CHECK(child >= 0);
    if (child == 0) {
      _exit(0);
    }
    CHECK(waitpid(child, &status, 0) == child && status == 0);
  }
  return 0;
}
