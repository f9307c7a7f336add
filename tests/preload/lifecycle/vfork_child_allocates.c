/* Shells and Pythons vfork child allocates before it execs, in memory that it shares with us: what it took and freed
 * leaves the parent's heap sound, and what it kept is the parent's to free. */
#include <sys/wait.h>

#include "../support/stamp.h"

int main(void) {
  require_stealth();
  for (int i = 0; i < 200; ++i) {
    static void* volatile kept;
    int status = 0;
    void* before = malloc(300);
    const pid_t child = vfork();
    if (child == 0) {
      void* mine = malloc(3000);
      stamp(mine, 3000, 1);
      kept = malloc(200 * KIB);
      stamp(kept, 200 * KIB, 2);
      free(mine);
      free(before);
      _exit(mine != NULL && kept != NULL ? 0 : 1);
    }
    CHECK(child > 0 && waitpid(child, &status, 0) == child && status == 0);
    CHECK(stamp_kept(kept, 200 * KIB, 200 * KIB, 2));
    free(kept);
    void* again = malloc(300);
    stamp(again, 300, 3);
    CHECK(stamp_kept(again, 300, 300, 3));
    free(again);
  }
  return 0;
}
