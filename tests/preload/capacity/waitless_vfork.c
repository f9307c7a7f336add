/* A vfork child runs on its parent's memory, and the parent stands still until the child is gone. */
#include <sys/wait.h>

#include "waitless.h"

int main(void) {
  stand_at_capacity();
  for (int i = 0; i < 3; ++i) {
    int status = 0;
    const pid_t child = vfork();
    CHECK(child >= 0);
    if (child == 0) {
      grab();
      _exit(0);
    }
    CHECK(waitpid(child, &status, 0) == child && status == 0);
  }
  CHECK(facts_now().waits == 0);
  void* block = malloc(MIB); /* the parent itself may wait as ever */
  CHECK(block != NULL && (facts_now().waits == 1 || standing_in()));
  return 0;
}
