/* A single thread goes over the capacity of 256 MiB, COUNT times by so many KiB: each time costs 1 ms for 64 KiB, more
 * the further it is over, times what jitter makes of it. The shortest must be between LEAST and MOST of the plain
 * price: a busy machine makes some calls longer, and none shorter: lone_waits COUNT KIB [LEAST MOST]. */
#include "capacity.h"

int main(int argc, char** argv) {
  require_stealth();
  CHECK(argc == 3 || argc == 5);
  fill_up_to(256 * MIB);
  const double kib = atof(argv[2]);
  double shortest = 1e9;
  for (int i = 0; i < atoi(argv[1]); ++i) {
    const double fill = (double)bytes_held() / (256.0 * 1024 * 1024);
    const double price = kib / 64 / 1000 * fill * fill;
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
