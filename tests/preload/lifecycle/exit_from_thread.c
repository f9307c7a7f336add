/* A thread calls exit() while main sits in a system call, and main's thread is ended by pthread_exit in another run:
 * the process ends when the last thread does, with statistics in both cases. exit_from_thread exit|last */
#include <pthread.h>

#include "../support/test.h"

static int last;

static void* work(void* unused) {
  usleep(100000);
  free(malloc(100));
  if (!last) {
    exit(0);
  }
  return unused;
}

int main(int argc, char** argv) {
  pthread_t thread;
  require_stealth();
  CHECK(argc == 2);
  last = strcmp(argv[1], "last") == 0;
  CHECK(pthread_create(&thread, NULL, work, NULL) == 0);
  if (last) {
    pthread_exit(NULL);
  }
  pause();
  return 1;
}
