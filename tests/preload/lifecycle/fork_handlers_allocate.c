/* Programs allocate in their own fork handlers, which run before ours prepare and after ours are done. */
#include <pthread.h>
#include <sys/wait.h>

#include "../support/test.h"

static void* from_prepare;
static int calls;

static void prepare(void) {
  ++calls;
  from_prepare = malloc(5000);
  CHECK(from_prepare != NULL);
}

static void after(void) {
  ++calls;
  free(from_prepare);
  free(malloc(50));
  free(malloc(500 * KIB));
}

int main(void) {
  require_stealth();
  CHECK(pthread_atfork(prepare, after, after) == 0);
  for (int i = 0; i < 50; ++i) {
    int status = 0;
    const pid_t child = fork();
    CHECK(child >= 0);
    if (child == 0) {
      alarm(120);
      free(malloc(77));
      exit(0);
    }
    CHECK(waitpid(child, &status, 0) == child && status == 0);
  }
  CHECK(calls == 100);
  return 0;
}
