/* A program that locked itself in (seccomp): opening files, sockets, membarrier, userfaultfd and the like kill it, new
 * threads are refused with EPERM. malloc must do nothing of that kind late, or live with the refusal. */
#include <linux/audit.h>
#include <linux/filter.h>
#include <linux/seccomp.h>
#include <stddef.h>
#include <sys/prctl.h>
#include <sys/syscall.h>

#include "../support/stamp.h"

#define ON(call, verdict) BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, (call), 0, 1), BPF_STMT(BPF_RET | BPF_K, (verdict))
#define KILLS(call)       ON(call, SECCOMP_RET_KILL_PROCESS)
#define REFUSES(call)     ON(call, SECCOMP_RET_ERRNO | EPERM)

static void lock_in(void) {
  struct sock_filter rules[] = {
      BPF_STMT(BPF_LD | BPF_W | BPF_ABS, offsetof(struct seccomp_data, nr)),
#ifdef __NR_open
      KILLS(__NR_open),
#endif
      KILLS(__NR_openat),
      KILLS(__NR_socket),
      KILLS(__NR_membarrier),
      KILLS(__NR_userfaultfd),
      KILLS(__NR_memfd_create),
      KILLS(__NR_execve),
      KILLS(__NR_sched_setaffinity),
      REFUSES(__NR_clone),
      REFUSES(__NR_clone3),
      REFUSES(__NR_prctl),
      BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ALLOW),
  };
  const struct sock_fprog program = {.len = sizeof rules / sizeof rules[0], .filter = rules};
  CHECK(prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) == 0);
  CHECK(prctl(PR_SET_SECCOMP, SECCOMP_MODE_FILTER, &program) == 0);
}

int main(void) {
  uint64_t state = 3;
  static void* blocks[2000];
  static size_t sizes[2000];
  require_stealth();
  lock_in();
  for (int round = 0; round < 200000; ++round) {
    const size_t place = random_below(&state, 2000);
    CHECK(blocks[place] == NULL || stamp_kept(blocks[place], sizes[place], sizes[place], (unsigned)place));
    free(blocks[place]);
    sizes[place] = random_below(&state, (size_t)1 << random_below(&state, 20));
    blocks[place] = malloc(sizes[place]);
    CHECK(blocks[place] != NULL);
    stamp(blocks[place], sizes[place], (unsigned)place);
  }
  for (int i = 0; i < 2000; ++i) {
    free(blocks[i]);
  }
  malloc_trim(0);
  usleep(1200000); /* longer than freed memory is kept: what happens by age happens now */
  free(malloc(100));
  return 0;
}
