/* A program that frees and then makes no call any more gets its memory given back, by a thread that the C library knows
 * nothing of and that ends by itself; errno and the signal mask are as they were. */
#include <signal.h>

#include "keeper.h"

extern char __libc_single_threaded;

static unsigned long long mask_now(void) {
  unsigned long long mask = 0;
  CHECK(syscall(SYS_rt_sigprocmask, SIG_BLOCK, NULL, &mask, sizeof mask) == 0);
  return mask;
}

int main(void) {
  require_stealth();
  const unsigned long long mask = mask_now();
  for (int round = 0; round < 2; ++round) {
    CHECK(threads_now() == 1);
    const size_t before = resident_bytes();
    errno = 77;
    use_and_free();
    CHECK(errno == 77);
    CHECK(threads_now() == 2);
    CHECK(mask_now() == mask);
    CHECK(resident_falls_below(before + 8 * MIB, 5));
    CHECK(other_thread_says("comm", "stealth\n"));
    CHECK(other_thread_says("status", "SigBlk:\tfffffffffffbfeff")); /* all but SIGKILL and SIGSTOP */
    CHECK(threads_become(1, 10));
    CHECK(__libc_single_threaded);
  }
  return 0;
}
