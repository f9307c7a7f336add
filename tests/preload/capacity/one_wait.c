/* One call waits at the capacity in vain; another thread is there, and releases nothing. The call takes between LEAST
 * and MOST milliseconds: one_wait served|refused LEAST MOST. */
#include "capacity.h"

int main(int argc, char** argv) {
  require_stealth();
  CHECK(argc == 4);
  start_idle_thread();
  fill_up_to(32 * MIB);
  const double begin = seconds_now();
  errno = 0;
  void* block = malloc(2 * MIB);
  const double took = (seconds_now() - begin) * 1000;
  const int got = block != NULL;
  const int why = errno;
  free(block);
  printf("%.1f ms\n", took);
  if (!standing_in()) {
    CHECK(strcmp(argv[1], "served") == 0 ? got : !got && why == ENOMEM);
    CHECK(took >= atof(argv[2]) && took <= atof(argv[3]));
  }
  return 0;
}
