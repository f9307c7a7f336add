/* A signal handler jumps out of a wait for 4 MiB, and its thread ends, or stays for ever. What is released then goes
 * to those who still wait, and nobody waits behind the one that is gone: jump_out_of_wait ends|stays. */
#include <setjmp.h>
#include <signal.h>

#include "capacity.h"

static sigjmp_buf back;
static int stays;

static void jump(int unused) {
  (void)unused;
  siglongjmp(back, 1);
}

static void* wait_and_jump(void* unused) {
  if (sigsetjmp(back, 1) == 0) {
    keep(malloc(4 * MIB));
    CHECK(standing_in());
  }
  while (stays) {
    pause();
  }
  return unused;
}

static void* wait_for_memory(void* unused) {
  void* block = malloc(MIB);
  CHECK(block != NULL);
  keep(block);
  return unused;
}

int main(int argc, char** argv) {
  const struct sigaction action = {.sa_handler = jump};
  pthread_t jumper, waiter;
  require_stealth();
  CHECK(argc == 2);
  stays = strcmp(argv[1], "stays") == 0;
  CHECK(sigaction(SIGUSR1, &action, NULL) == 0);
  start_idle_thread();
  fill_up_to(32 * MIB);
  CHECK(pthread_create(&jumper, NULL, wait_and_jump, NULL) == 0);
  until_waiting(1); /* or the other one would come before it, and nobody would have to find out that it is gone */
  CHECK(pthread_create(&waiter, NULL, wait_for_memory, NULL) == 0);
  until_waiting(2);
  if (!standing_in()) {
    CHECK(pthread_kill(jumper, SIGUSR1) == 0);
  }
  if (!stays) {
    CHECK(pthread_join(jumper, NULL) == 0);
  }
  const double begin = seconds_now();
  give_back(3 * MIB);
  malloc_trim(0); /* so that what follows has to ask for each page */
  CHECK(pthread_join(waiter, NULL) == 0);
  CHECK(seconds_now() - begin < 10);
  for (int i = 0; i < 10; ++i) { /* above the soft point, below the capacity */
    void* block = malloc(100 * KIB);
    CHECK(block != NULL);
    keep(block);
  }
  while (!standing_in() && figures_now().waiting_now != 0) { /* until it is late, which who wants pages finds out */
    void* block = malloc(100 * KIB);
    keep(block);
    free(block);
    malloc_trim(0);
    CHECK(seconds_now() - begin < 10);
    usleep(1000);
  }
  CHECK(seconds_now() - begin < 10);
  return 0;
}
