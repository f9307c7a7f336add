/* A sandbox that answers the making of a thread with death, installed by the program: nobody makes one any more, and
 * one that was there is gone. With `refuse`, one that was installed behind our back and answers EPERM: then there is
 * none. */
#include <linux/filter.h>
#include <linux/seccomp.h>
#include <stddef.h>
#include <sys/prctl.h>

#include "keeper.h"

static void lock_in(int refuse) {
  const unsigned verdict = refuse ? (SECCOMP_RET_ERRNO | EPERM) : SECCOMP_RET_KILL_PROCESS;
  struct sock_filter rules[] = {
      BPF_STMT(BPF_LD | BPF_W | BPF_ABS, offsetof(struct seccomp_data, nr)),
      BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, __NR_clone, 0, 1),
      BPF_STMT(BPF_RET | BPF_K, verdict),
      BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ALLOW),
  };
  const struct sock_fprog program = {.len = sizeof rules / sizeof rules[0], .filter = rules};
  if (refuse) {
    CHECK(syscall(SYS_prctl, PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) == 0);
    CHECK(syscall(SYS_prctl, PR_SET_SECCOMP, SECCOMP_MODE_FILTER, &program, 0, 0) == 0);
  } else {
    CHECK(prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) == 0);
    CHECK(threads_now() == 1);
    CHECK(syscall(SYS_seccomp, SECCOMP_SET_MODE_FILTER, 0, &program) == 0);
  }
}

int main(int argc, char** argv) {
  const int refuse = argc > 1 && strcmp(argv[1], "refuse") == 0;
  require_stealth();
  if (!refuse) {
    use_until_kept();
  }
  lock_in(refuse);
  for (int round = 0; round < 3; ++round) {
    errno = 77;
    use_and_free();
    CHECK(errno == 77);
    CHECK(threads_now() == 1);
  }
  usleep(600000); /* whoever frees looks after it then, as ever */
  const size_t before = resident_bytes();
  for (int i = 0; i < 3; ++i) {
    free(malloc(4 * MIB));
  }
  CHECK(resident_bytes() + 32 * MIB < before);
  return 0;
}
