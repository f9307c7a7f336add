/* At the capacity each refusal takes the patience of 100 ms, until the budget of 5 % of 10 s is used up: from then on
 * it comes at once. What is freed can be had again, at once, too. */
#include "capacity.h"

int main(void) {
  int slow = 0, quick = 0;
  require_stealth();
  fill_up_to(32 * MIB);
  for (int i = 0; i < 40 && !standing_in(); ++i) {
    const unsigned long long waits = facts_now().waits;
    const double begin = seconds_now();
    CHECK_FAILS(malloc(MIB), ENOMEM);
    const double took = seconds_now() - begin;
    const int waited = facts_now().waits > waits;
    CHECK(took < 12); /* what a call that is fed may take is more */
    CHECK(!waited || quick == 0);
    CHECK(!waited || took > 0.095 || slow > 0); /* the last one has what the others have left */
    slow += waited;
    quick += !waited;
  }
  printf("%d slow, %d quick\n", slow, quick);
  CHECK((slow > 0 && slow <= 6) || standing_in());
  if (!standing_in()) {
    CHECK_FAILS(calloc(1, 2 * MIB), ENOMEM);
    CHECK_FAILS(aligned_alloc(4096, 3 * MIB), ENOMEM);
  }
  give_back(2 * MIB);
  const unsigned long long waits = facts_now().waits;
  void* block = touched(MIB);
  CHECK(block != NULL && facts_now().waits == waits);
  free(block);
  return 0;
}
