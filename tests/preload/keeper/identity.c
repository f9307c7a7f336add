/* A program that changes who it is: no thread is left behind with what it was. */
#include <grp.h>
#include <sched.h>
#include <sys/prctl.h>

#include "keeper.h"

static void gone_after(int result) {
  CHECK(result == 0);
  CHECK(threads_now() == 1);
  use_until_kept(); /* a new one, of the new kind */
}

int main(void) {
  const uid_t user = getuid();
  const gid_t group = getgid();
  require_stealth();
  use_until_kept();
  gone_after(setgid(group));
  gone_after(setegid(group));
  gone_after(setregid(group, group));
  gone_after(setresgid(group, group, group));
  gone_after(seteuid(user));
  gone_after(setreuid(user, user));
  gone_after(setresuid(user, user, user));
  gone_after(unshare(CLONE_FS));
  /* Whether it may, the machine says; but not that there are other threads. */
  const pid_t child = fork();
  if (child == 0) {
    use_until_kept();
    CHECK(unshare(CLONE_NEWUSER) == 0 || errno != EINVAL);
    _exit(0);
  }
  expect_clean_end(child);
  use_until_kept();
  CHECK(prctl(PR_SET_KEEPCAPS, 0, 0, 0, 0) == 0); /* other calls of that name do not matter */
  CHECK(threads_now() == 2);
  if (user == 0) { /* and what root can do */
    gone_after(setgroups(0, NULL));
    const pid_t other = fork();
    if (other == 0) {
      use_and_free();
      CHECK(other_thread_says("status", "Uid:\t0\t0\t0\t0"));
      CHECK(setresgid(65534, 65534, 65534) == 0 && setuid(65534) == 0);
      CHECK(threads_now() == 1);
      use_until_kept();
      CHECK(prctl(PR_SET_DUMPABLE, 1, 0, 0, 0) == 0); /* or /proc does not let us look at ourselves */
      CHECK(other_thread_says("status", "Uid:\t65534\t65534\t65534\t65534"));
      _exit(0);
    }
    expect_clean_end(other);
  } else {
    gone_after(setuid(user));
  }
  return 0;
}
