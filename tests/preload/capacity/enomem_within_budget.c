/* At the capacity each refusal takes the patience of 100 ms, until the budget of 5 % of 10 s is used up: from then on
 * it comes at once. What is freed can be had again, at once, too. */
#include "capacity.h"

int main(void) {
  double waited = 0;
  int slow = 0;
  require_stealth();
  fill_up_to(32 * MIB);
  for (int i = 0; i < 40 && !standing_in(); ++i) {
    const double begin = seconds_now();
    CHECK_FAILS(malloc(MIB), ENOMEM);
    const double took = seconds_now() - begin;
    const int patient = waited < 0.35;
    const int spent = waited > 0.6;
    CHECK(!patient || (took > 0.095 && took < 0.4));
    CHECK(!spent || took < 0.05);
    waited += took;
    slow += took > 0.05;
  }
  printf("%.3f s, %d slow\n", waited, slow);
  CHECK((waited > 0.45 && waited < 1 && slow <= 6) || standing_in());
  if (!standing_in()) {
    CHECK_FAILS(calloc(1, 2 * MIB), ENOMEM);
    CHECK_FAILS(aligned_alloc(4096, 3 * MIB), ENOMEM);
  }
  give_back(2 * MIB);
  const double begin = seconds_now();
  void* block = touched(MIB);
  CHECK(block != NULL && seconds_now() - begin < 0.1);
  free(block);
  return 0;
}
