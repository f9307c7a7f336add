/* malloc is no cancellation point: a thread that is cancelled while it waits gets its answer first, at its time. */
#include "capacity.h"

static volatile int answered;

static void* wait_for_memory(void* unused) {
  const double begin = seconds_now();
  void* block = malloc(2 * MIB);
  const double took = seconds_now() - begin;
  CHECK((block == NULL && took > 1.95 && took < 12) || standing_in());
  free(block);
  answered = 1;
  while (standing_in()) {
    pause();
  }
  pthread_testcancel();
  check_failed(__FILE__, __LINE__, "the thread is cancelled here");
  return unused;
}

static void cancel(pthread_t thread) {
  void* result = NULL;
  CHECK(pthread_cancel(thread) == 0);
  CHECK(pthread_join(thread, &result) == 0);
  CHECK(result == PTHREAD_CANCELED);
}

int main(void) {
  pthread_t thread;
  require_stealth();
  CHECK(pthread_create(&thread, NULL, idle_for_ever, NULL) == 0);
  cancel(thread); /* the first one loads a library for it */
  fill_up_to(32 * MIB);
  CHECK(pthread_create(&thread, NULL, wait_for_memory, NULL) == 0);
  until_waiting(1);
  CHECK(!answered || standing_in());
  cancel(thread);
  CHECK(answered);
  return 0;
}
