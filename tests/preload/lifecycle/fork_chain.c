/* A child forks a child, and so on twenty deep, each freeing what all before it allocated. */
#include <sys/wait.h>

#include "../support/stamp.h"

enum { DEPTH = 20 };

int main(void) {
  static unsigned char* blocks[DEPTH][50];
  require_stealth();
  alarm(140);
  for (int depth = 0; depth < DEPTH; ++depth) {
    for (unsigned i = 0; i < 50; ++i) {
      blocks[depth][i] = malloc(100 * i + 10);
      CHECK(blocks[depth][i] != NULL);
      stamp(blocks[depth][i], 100 * i + 10, i);
    }
    const pid_t child = fork();
    CHECK(child >= 0);
    if (child != 0) {
      int status = 0;
      CHECK(waitpid(child, &status, 0) == child && status == 0);
      return 0;
    }
  }
  for (int depth = 0; depth < DEPTH; ++depth) {
    for (unsigned i = 0; i < 50; ++i) {
      CHECK(stamp_kept(blocks[depth][i], 100 * i + 10, 100 * i + 10, i));
      free(blocks[depth][i]);
    }
  }
  return 0;
}
