/* Takes so many MiB, one by one, and gives none back. All are to be had, and the whole takes between LEAST and MOST
 * milliseconds: takes MIB LEAST MOST. */
#include "capacity.h"

int main(int argc, char** argv) {
  require_stealth();
  CHECK(argc == 4);
  start_idle_thread();
  const double begin = seconds_now();
  for (int i = 0; i < atoi(argv[1]); ++i) {
    void* block = touched(MIB);
    CHECK(block != NULL);
    keep(block);
  }
  const double took = (seconds_now() - begin) * 1000;
  printf("%.0f ms\n", took);
  CHECK((took >= atof(argv[2]) && took <= atof(argv[3])) || standing_in());
  return 0;
}
