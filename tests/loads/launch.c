// Starts one program and tells what it used, on one line. The kernel counts the size of the process that a program was
// started from into the program's peak RSS (exec folds the old image's high water in, after vfork too), so the starter
// must be smaller than anything it measures: this is linked statically and keeps nothing.
//
//   launch REPORT_FD TIMEOUT_S PRELOAD|- PROGRAM [ARG…]
//
// Report: status wall_ns user_us sys_us maxrss_kib minor_faults major_faults voluntary involuntary
// (status as wait4 gives it; the figures of children that the program waited for are in it, the RSS is the largest).
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/time.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

static volatile pid_t program;

// Ends the program and all that it started: on time-out, and when the bench itself is interrupted.
static void end_program(int signal_number) {
  (void)signal_number;
  if (program > 0) kill(-program, SIGKILL);
}

static long long microseconds(struct timeval t) { return t.tv_sec * 1000000LL + t.tv_usec; }

int main(int argc, char** argv) {
  if (argc < 5) return 125;
  int report = atoi(argv[1]);
  fcntl(report, F_SETFD, FD_CLOEXEC);
  if (strcmp(argv[3], "-") == 0) {
    unsetenv("LD_PRELOAD");
  } else {
    setenv("LD_PRELOAD", argv[3], 1);
  }
  signal(SIGALRM, end_program);
  signal(SIGINT, end_program);
  signal(SIGTERM, end_program);

  struct timespec begin, end;
  clock_gettime(CLOCK_MONOTONIC, &begin);
  pid_t child = vfork();
  if (child == 0) {
    setpgid(0, 0);
    signal(SIGALRM, SIG_DFL);
    signal(SIGINT, SIG_DFL);
    signal(SIGTERM, SIG_DFL);
    execvp(argv[4], argv + 4);
    _exit(127);
  }
  if (child < 0) return 125;
  program = child;
  alarm((unsigned)atoi(argv[2]));
  int status;
  struct rusage used;
  while (wait4(child, &status, 0, &used) < 0) {
    if (errno != EINTR) return 125;
  }
  clock_gettime(CLOCK_MONOTONIC, &end);
  long long wall = (end.tv_sec - begin.tv_sec) * 1000000000LL + (end.tv_nsec - begin.tv_nsec);
  dprintf(report, "%d %lld %lld %lld %ld %ld %ld %ld %ld\n", status, wall, microseconds(used.ru_utime),
          microseconds(used.ru_stime), used.ru_maxrss, used.ru_minflt, used.ru_majflt, used.ru_nvcsw, used.ru_nivcsw);
  return 0;
}
