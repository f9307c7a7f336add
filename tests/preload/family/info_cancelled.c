/* malloc_info and malloc_stats by a thread whose cancellation is pending: it ends after the call, and the next ones who
 * ask are answered; and malloc_info into a stream that asks for figures itself while it writes. */
#include <pthread.h>

#include "../support/test.h"

static FILE* nowhere;

static void* asks_for_info(void* unused) {
  (void)unused;
  pthread_cancel(pthread_self());
  CHECK(malloc_info(0, nowhere) == 0); /* unbuffered: it comes to a write, where threads are cancelled */
  pthread_testcancel();
  return NULL;
}

static void* asks_for_stats(void* unused) {
  (void)unused;
  pthread_cancel(pthread_self());
  malloc_stats();
  pthread_testcancel();
  return NULL;
}

static void expect_cancelled(void* (*thread)(void*)) {
  pthread_t one;
  void* result = NULL;
  CHECK(pthread_create(&one, NULL, thread, NULL) == 0);
  CHECK(pthread_join(one, &result) == 0 && result == PTHREAD_CANCELED);
}

static size_t written;
static ssize_t take(void* unused, const char* text, size_t length) {
  (void)unused;
  (void)text;
  malloc_stats();
  CHECK(malloc_info(0, nowhere) == 0);
  written += length;
  return (ssize_t)length;
}

int main(void) {
  const cookie_io_functions_t asking = {.write = take};
  require_stealth();
  alarm(120);
  nowhere = fopen("/dev/null", "w");
  CHECK(nowhere != NULL && setvbuf(nowhere, NULL, _IONBF, 0) == 0);
  for (int i = 0; i < 20; ++i) {
    expect_cancelled(asks_for_info);
    expect_cancelled(asks_for_stats);
  }
  FILE* stream = fopencookie(NULL, "w", asking);
  CHECK(stream != NULL && setvbuf(stream, NULL, _IONBF, 0) == 0);
  CHECK(malloc_info(0, stream) == 0);
  CHECK(written > 100);
  CHECK(fclose(stream) == 0 && fclose(nowhere) == 0);
  malloc_stats();
  return 0;
}
