/* own_handler sigaction|signal|before: the program's own handler of SIGSEGV comes after our report, with what it asked
 * for; and is what the program sees that it has set. */
#include <setjmp.h>
#include <signal.h>

#include "../fault.h"

static sigjmp_buf back;
static void* volatile touched;

static void on_fault_info(int number, siginfo_t* info, void* context) {
  CHECK(number == SIGSEGV && context != NULL);
  touched = info->si_addr;
  siglongjmp(back, 1);
}
static void on_fault(int number) {
  CHECK(number == SIGSEGV);
  siglongjmp(back, 1);
}

int main(int argc, char** argv) {
  struct sigaction action, before;
  require_stealth();
  CHECK(argc == 2);
  void* block = malloc(100000);
  free(block);
  memset(&action, 0, sizeof action);
  if (strcmp(argv[1], "signal") == 0) {
    CHECK(signal(SIGSEGV, on_fault) == SIG_DFL);
    CHECK(signal(SIGSEGV, on_fault) == on_fault);
  } else {
    action.sa_sigaction = on_fault_info;
    action.sa_flags = SA_SIGINFO;
    CHECK(sigaction(SIGSEGV, &action, &before) == 0);
    CHECK(before.sa_handler == SIG_DFL);
    CHECK(sigaction(SIGSEGV, NULL, &before) == 0);
    CHECK(before.sa_sigaction == on_fault_info && (before.sa_flags & SA_SIGINFO) != 0);
  }
  accuse(block);
  if (sigsetjmp(back, 1) == 0) {
    write_byte(block, 5, 1);
    CHECK(0 == 1); /* it could be written to */
  }
  CHECK(strcmp(argv[1], "signal") == 0 || touched == (char*)block + 5);
  return 7;
}
