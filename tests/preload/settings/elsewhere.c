/* The program of other_root.py: works at its capacity where nothing but its own libraries is to be found. Reads no
 * file. elsewhere [ROOT]: goes to a new root directory midway, which has nothing at all in it. */
#include <pthread.h>
#include <sched.h>
#include <sys/wait.h>

#include "../support/waiting.h"

enum { BLOCKS = 600 };

static void* use(void* unused) {
  static _Thread_local void* blocks[BLOCKS];
  for (int i = 0; i < BLOCKS; ++i) {
    blocks[i] = malloc(64 * KIB);
    CHECK(blocks[i] != NULL);
    memset(blocks[i], i, 64 * KIB);
  }
  for (int i = 0; i < BLOCKS; ++i) {
    CHECK(((unsigned char*)blocks[i])[i] == (unsigned char)i);
    free(blocks[i]);
  }
  return unused;
}

static void in_threads(void) {
  pthread_t threads[2];
  for (int i = 0; i < 2; ++i) {
    CHECK(pthread_create(&threads[i], NULL, use, NULL) == 0);
  }
  for (int i = 0; i < 2; ++i) {
    CHECK(pthread_join(threads[i], NULL) == 0);
  }
}

int main(int argc, char** argv) {
  int status = -1;
  require_stealth();
  alarm(150);
  if (argc == 2) {
    use(NULL);
    usleep(600000); /* a control page is there by now */
    CHECK(getuid() == 0 || unshare(CLONE_NEWUSER) == 0);
    CHECK(chdir(argv[1]) == 0 && chroot(argv[1]) == 0 && chdir("/") == 0);
    CHECK(access("/proc", F_OK) != 0 && access("/dev", F_OK) != 0);
  }
  in_threads();
  const pid_t child = fork();
  CHECK(child >= 0);
  if (child == 0) {
    use(NULL);
    _exit(0);
  }
  CHECK(waitpid(child, &status, 0) == child && WIFEXITED(status) && WEXITSTATUS(status) == 0);
  usleep(800000); /* longer than freed memory is kept: what happens by age happens now */
  in_threads();
  malloc_trim(0);
  const struct stealth_statistics now = figures_now();
  CHECK(now.capacity == 32 * MIB && now.waits > 0 && now.grants > 0 && now.waiting_now == 0);
  CHECK(now.held < 32 * MIB);
  return 0;
}
