/* Each process leaves statistics of its own: three children that end by exit, one that ends by _exit and leaves none,
 * one that becomes another program. The runner counts the files. */
#include <sys/wait.h>

#include "../support/test.h"

int main(int argc, char** argv) {
  require_stealth();
  CHECK(argc == 2);
  for (int i = 0; i < 5; ++i) {
    int status = 0;
    const pid_t child = fork();
    CHECK(child >= 0);
    if (child == 0) {
      free(malloc(1000));
      if (i == 3) {
        _exit(0);
      }
      if (i == 4) {
        execl(argv[1], argv[1], (char*)NULL);
        _exit(1);
      }
      exit(0);
    }
    CHECK(waitpid(child, &status, 0) == child && status == 0);
  }
  return 0;
}
