/* A single thread goes over the capacity of 256 MiB, COUNT times by so many KiB that it does not touch: each time costs
 * 1 ms for 64 KiB, times what jitter makes of it. The shortest must be between LEAST and MOST of that price: a busy
 * machine makes some calls longer, and none shorter: lone_waits COUNT KIB [LEAST MOST]. */
#include "capacity.h"

int main(int argc, char** argv) {
  require_stealth();
  CHECK(argc == 3 || argc == 5);
  CHECK(setvbuf(stdout, NULL, _IONBF, 0) == 0); /* its buffer would have to wait, too */
  fill_up_to(256 * MIB);
  const double price = atof(argv[2]) / 64 / 1000;
  double shortest = 1e9;
  for (int i = 0; i < atoi(argv[1]); ++i) {
    const double begin = seconds_now();
    void* block = malloc(strtoul(argv[2], NULL, 10) * KIB);
    const double share = (seconds_now() - begin) / price;
    CHECK(block != NULL);
    keep(block);
    shortest = share < shortest ? share : shortest;
  }
  printf("the shortest took %.3f of its price\n", shortest);
  CHECK(argc == 3 || (shortest >= atof(argv[3]) && shortest <= atof(argv[4])) || standing_in());
  return 0;
}
