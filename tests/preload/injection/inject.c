/* Runs a program under libstealth again and again, and has one system call of the library fail each time: the first one
 * of a kind, the second one, and so on to the last; once, and from there on for ever; with each error of the kind. The
 * program must end well every time: it checks its memory itself (work.c).
 *
 *   inject [--all] LIBRARY KIND PROGRAM [ARG...]
 *   inject --only N:ERRNO[:ever] LIBRARY KIND PROGRAM [ARG...]     one case, to look into
 *
 * By ptrace, which changes nothing for the program, as a filter of system calls would. A call is the library's when
 * libc's syscall() is about to return into it, or, for `clone`, when it makes the keeper. Where it is to fail the
 * kernel gets a call that does not exist instead, and the program the error. Threads and children are followed, and
 * counted with the rest. Where ptrace is not permitted the test fails.
 *
 * The first WHOLE places of a kind are tried one by one, later ones in growing steps: --all, or STEALTH_INJECT=all,
 * tries every one. */
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/personality.h>
#include <sys/ptrace.h>
#include <sys/syscall.h>
#include <sys/user.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

enum { WHOLE = 8, MOST_TASKS = 256, SECONDS = 60, MOST_BAD = 3 };
#define EVER (~0UL)

struct error {
  const char* name;
  int number;
};
#define E(name) \
  { #name, name }
/* The last two: nothing at all can be had. */
static const struct kind {
  const char* name;
  long numbers[12]; /* ended by -1 */
  struct error errors[6];
} kinds[] = {
    {"mmap", {SYS_mmap, -1}, {E(ENOMEM), E(EPERM)}},
    {"munmap", {SYS_munmap, -1}, {E(ENOMEM)}},
    {"mprotect", {SYS_mprotect, -1}, {E(ENOMEM)}},
    {"madvise", {SYS_madvise, -1}, {E(EINVAL), E(ENOMEM), E(EAGAIN)}},
    {"mremap", {SYS_mremap, -1}, {E(ENOMEM), E(EFAULT), E(EINVAL)}},
    {"futex", {SYS_futex, -1}, {E(EINTR), E(EAGAIN), E(ENOSYS)}},
    {"openat", {SYS_openat, -1}, {E(EMFILE), E(ENOENT), E(EACCES)}},
    {"read", {SYS_read, -1}, {E(EIO), E(EINTR)}},
    {"membarrier", {SYS_membarrier, -1}, {E(ENOSYS), E(EPERM)}},
    {"clone", {SYS_clone, -1}, {E(EAGAIN), E(EPERM)}},
    {"files",
     {SYS_fallocate, SYS_pwrite64, SYS_linkat, SYS_mkdirat, SYS_fstat, SYS_newfstatat, SYS_close_range, SYS_dup3, -1},
     {E(ENOSPC), E(EPERM), E(EINTR)}},
    {"process",
     {SYS_prctl, SYS_prlimit64, SYS_get_robust_list, SYS_process_vm_readv, SYS_rt_sigprocmask, SYS_pidfd_open,
      SYS_readlinkat, -1},
     {E(EPERM), E(ENOSYS)}},
    {"every file", {SYS_openat, SYS_read, SYS_fallocate, SYS_newfstatat, SYS_mkdirat, SYS_readlinkat, -1}, {E(EACCES)}},
    {"all memory", {SYS_mmap, SYS_mprotect, SYS_madvise, SYS_mremap, SYS_munmap, -1}, {E(ENOMEM)}},
};

struct plan {
  const struct kind* kind;
  int error;
  unsigned long nth, times; /* nth 0: none fails */
  const char* library;
  char** command;
};

struct task {
  pid_t id;
  int failing; /* the call that it is in */
};

static struct task tasks[MOST_TASKS];
static volatile sig_atomic_t timed_out;
static volatile pid_t child_now;

static void die(const char* what) {
  fprintf(stderr, "inject: %s: %s\n", what, strerror(errno));
  exit(2);
}

static void on_alarm(int number) {
  (void)number;
  timed_out = 1;
  kill(-child_now, SIGKILL);
  kill(child_now, SIGKILL);
}

static struct task* task_of(pid_t id) {
  struct task* unused = NULL;
  for (int i = 0; i < MOST_TASKS; ++i) {
    if (tasks[i].id == id) {
      return &tasks[i];
    }
    if (tasks[i].id == 0 && unused == NULL) {
      unused = &tasks[i];
    }
  }
  if (unused == NULL) {
    errno = E2BIG;
    die("too many threads");
  }
  *unused = (struct task){id, 0};
  return unused;
}

/* Where the library's code lies; nowhere before the loader has mapped it. */
static uint64_t code_begin, code_end;

static void find_library(pid_t id, const char* library) {
  char path[64];
  char line[4096];
  snprintf(path, sizeof path, "/proc/%d/maps", (int)id);
  FILE* maps = fopen(path, "re");
  if (maps == NULL) {
    return;
  }
  while (fgets(line, sizeof line, maps) != NULL) {
    unsigned long begin = 0;
    unsigned long end = 0;
    char rights[8] = "";
    int at = 0;
    if (sscanf(line, "%lx-%lx %7s %*s %*s %*s %n", &begin, &end, rights, &at) < 3 || rights[2] != 'x') {
      continue;
    }
    line[strcspn(line, "\n")] = '\0';
    if (strcmp(line + at, library) == 0) {
      code_begin = begin;
      code_end = end;
    }
  }
  fclose(maps);
}

static int is_of_kind(const struct kind* kind, long number) {
  for (const long* one = kind->numbers; *one != -1; ++one) {
    if (*one == number) {
      return 1;
    }
  }
  return 0;
}

/* The library calls libc's syscall(), which has pushed nothing when it enters the kernel. */
static int is_librarys(pid_t id, const struct __ptrace_syscall_info* call, const char* library) {
  if ((long)call->entry.nr == SYS_clone) {
    const uint64_t keeper = 0x100 | 0x10000; /* CLONE_VM | CLONE_THREAD: glibc's own threads come by clone3 */
    return (call->entry.args[0] & keeper) == keeper;
  }
  if (code_end == 0) {
    find_library(id, library);
  }
  errno = 0;
  const uint64_t back = (uint64_t)ptrace(PTRACE_PEEKDATA, id, (void*)call->stack_pointer, NULL);
  return errno == 0 && back >= code_begin && back < code_end;
}

/* A call that is to fail becomes one that does not exist, and gives the error. */
static void change_register(pid_t id, size_t which, long value) {
  ptrace(PTRACE_POKEUSER, id, (void*)which, (void*)value);
}

static void at_call(struct task* task, const struct plan* plan, unsigned long* calls) {
  struct __ptrace_syscall_info call;
  if (ptrace(PTRACE_GET_SYSCALL_INFO, task->id, (void*)sizeof call, &call) <= 0) {
    return; /* killed meanwhile */
  }
  if (call.op == PTRACE_SYSCALL_INFO_EXIT) {
    if (task->failing) {
      task->failing = 0;
      change_register(task->id, offsetof(struct user, regs.rax), -(long)plan->error);
    }
    return;
  }
  const int is_one = call.op == PTRACE_SYSCALL_INFO_ENTRY && is_of_kind(plan->kind, (long)call.entry.nr) &&
                     is_librarys(task->id, &call, plan->library);
  if (!is_one) {
    return;
  }
  ++*calls;
  if (plan->nth != 0 && *calls >= plan->nth && *calls - plan->nth < plan->times) {
    task->failing = 1;
    change_register(task->id, offsetof(struct user, regs.orig_rax), -1);
  }
}

static pid_t begin_child(const struct plan* plan) {
  fflush(NULL);
  const pid_t child = fork();
  if (child != 0) {
    return child;
  }
  setpgid(0, 0);
  personality(ADDR_NO_RANDOMIZE);
  setenv("LD_PRELOAD", plan->library, 1);
  setenv("INJECTED", plan->nth == 0 ? "none" : plan->times == 1 ? "once" : "ever", 1);
  if (ptrace(PTRACE_TRACEME, 0, NULL, NULL) != 0) {
    _exit(125);
  }
  raise(SIGSTOP);
  execv(plan->command[0], plan->command);
  _exit(126);
}

/* The calls of the kind; `status` is how the program ended. */
static unsigned long run(const struct plan* plan, int* status) {
  const long options = PTRACE_O_TRACESYSGOOD | PTRACE_O_TRACECLONE | PTRACE_O_TRACEFORK | PTRACE_O_TRACEVFORK |
                       PTRACE_O_TRACEEXEC | PTRACE_O_EXITKILL;
  unsigned long calls = 0;
  int now = 0;
  memset(tasks, 0, sizeof tasks);
  code_begin = code_end = 0;
  timed_out = 0;
  const pid_t child = begin_child(plan);
  if (child < 0) {
    die("fork");
  }
  child_now = child;
  if (waitpid(child, &now, 0) != child || !WIFSTOPPED(now)) {
    errno = EPERM;
    die("ptrace is not permitted here");
  }
  if (ptrace(PTRACE_SETOPTIONS, child, NULL, options) != 0) {
    die("PTRACE_SETOPTIONS");
  }
  alarm(SECONDS);
  ptrace(PTRACE_SYSCALL, child, NULL, NULL);
  while (1) {
    const pid_t id = waitpid(-1, &now, __WALL);
    if (id < 0) {
      if (errno == EINTR) {
        continue;
      }
      break; /* all have ended */
    }
    struct task* task = task_of(id);
    if (WIFEXITED(now) || WIFSIGNALED(now)) {
      task->id = 0;
      if (id == child) {
        *status = now;
      }
      continue;
    }
    long signal = 0;
    if (WSTOPSIG(now) == (SIGTRAP | 0x80)) {
      at_call(task, plan, &calls);
    } else if (now >> 16 == PTRACE_EVENT_EXEC) {
      code_begin = code_end = 0;
    } else if (now >> 16 == 0 && WSTOPSIG(now) != SIGSTOP) { /* SIGSTOP: how a new task begins */
      signal = WSTOPSIG(now);
    }
    ptrace(PTRACE_SYSCALL, id, NULL, signal);
  }
  alarm(0);
  return calls;
}

/* Whether it ended well; if not, says so. */
static int ended_well(const struct plan* plan, const char* error, int status) {
  if (WIFEXITED(status) && WEXITSTATUS(status) == 0 && !timed_out) {
    return 1;
  }
  printf("FAULT: %s %lu%s, %s: ", plan->kind->name, plan->nth, plan->times == 1 ? "" : " and all after it", error);
  if (timed_out) {
    printf("still running after %d s\n", SECONDS);
  } else if (WIFSIGNALED(status)) {
    printf("signal %d\n", WTERMSIG(status));
  } else {
    printf("status %d\n", WEXITSTATUS(status));
  }
  return 0;
}

static int run_one(struct plan* plan, char* which) {
  char* rest = NULL;
  int status = -1;
  plan->nth = strtoul(which, &rest, 10);
  plan->error = (int)strtol(rest + 1, &rest, 10);
  plan->times = *rest == ':' ? EVER : 1;
  printf("%lu calls\n", run(plan, &status));
  return ended_well(plan, strerror(plan->error), status) ? 0 : 1;
}

static int sweep(struct plan* plan, int all) {
  int status = -1;
  int bad = 0;
  unsigned long cases = 0;
  const unsigned long calls = run(plan, &status);
  if (!ended_well(plan, "none", status)) {
    return 1;
  }
  if (calls == 0) {
    printf("FAULT: the library makes no such call: nothing was tried\n");
    return 1;
  }
  for (const struct error* error = plan->kind->errors; error->name != NULL && bad < MOST_BAD; ++error) {
    const int first = error == plan->kind->errors;
    plan->error = error->number;
    for (unsigned long nth = 1; nth <= calls && bad < MOST_BAD; nth += all || nth < WHOLE ? 1 : nth / (first ? 2 : 1)) {
      for (int ever = 0; ever < 2; ++ever) {
        if (ever && error->number == EINTR) {
          continue; /* no kernel does that for ever */
        }
        plan->nth = nth;
        plan->times = ever ? EVER : 1;
        run(plan, &status);
        bad += !ended_well(plan, error->name, status);
        ++cases;
      }
    }
  }
  printf("%s: %lu calls, %lu cases, %d bad\n", plan->kind->name, calls, cases, bad);
  return bad != 0;
}

int main(int count, char** arguments) {
  struct plan plan = {.times = 1};
  int all = 0;
  char* only = NULL;
  char library[4096];
  int at = 1;
  for (; at < count && strncmp(arguments[at], "--", 2) == 0; ++at) {
    if (strcmp(arguments[at], "--all") == 0) {
      all = 1;
    } else if (strcmp(arguments[at], "--only") == 0 && at + 1 < count) {
      only = arguments[++at];
    }
  }
  if (count - at < 3 || realpath(arguments[at], library) == NULL) {
    fprintf(stderr, "usage: inject [--all | --only N:ERRNO[:ever]] LIBRARY KIND PROGRAM [ARG...]\n");
    return 2;
  }
  for (size_t i = 0; i < sizeof kinds / sizeof kinds[0]; ++i) {
    if (strcmp(kinds[i].name, arguments[at + 1]) == 0) {
      plan.kind = &kinds[i];
    }
  }
  if (plan.kind == NULL) {
    fprintf(stderr, "inject: %s: no such kind of call\n", arguments[at + 1]);
    return 2;
  }
  plan.library = library;
  plan.command = arguments + at + 2;
  struct sigaction action = {.sa_handler = on_alarm};
  sigaction(SIGALRM, &action, NULL);
  if (only == NULL && getenv("STEALTH_INJECT") != NULL) {
    all = strcmp(getenv("STEALTH_INJECT"), "all") == 0;
  }
  return only != NULL ? run_one(&plan, only) : sweep(&plan, all);
}
