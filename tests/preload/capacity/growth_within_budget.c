/* A single thread grows to twice the capacity of 32 MiB; nobody could release anything. It is slowed until the budget
 * of 5 % of 10 s is used up, then grows as ever; when the 10 s are over it is slowed once more, by as much. */
#include "capacity.h"

static const double budget_ms = 500;

/* Grows until a MiB comes at no cost ten times in a row; what that took. */
static double grow(void) {
  const double begin = seconds_now();
  for (int quick = 0; quick < 10;) {
    const unsigned long long waited = facts_now().waited_ms;
    void* block = touched(MIB);
    CHECK(block != NULL);
    keep(block);
    quick = facts_now().waited_ms == waited ? quick + 1 : 0;
    CHECK(seconds_now() - begin < 60);
  }
  return seconds_now() - begin;
}

int main(void) {
  require_stealth();
  fill_up_to(32 * MIB);
  CHECK(facts_now().waits == 0);
  const double begin = seconds_now();
  const double first_took = grow();
  const struct facts first = facts_now();
  while (seconds_now() - begin < 6) {
    sleep_ms(50);
  }
  grow(); /* the 10 s are not over */
  const struct facts still = facts_now();
  while (seconds_now() - begin < 10.6 + first_took) {
    sleep_ms(50);
  }
  grow();
  const struct facts second = facts_now();
  printf("%llu ms, %llu ms, %llu ms\n", first.waited_ms, still.waited_ms, second.waited_ms);
  if (!standing_in()) {
    CHECK((double)first.waited_ms > 0.9 * budget_ms && (double)still.waited_ms < 3 * budget_ms);
    CHECK((double)(second.waited_ms - still.waited_ms) > 0.4 * budget_ms);
    CHECK((double)(second.waited_ms - still.waited_ms) < 3 * budget_ms);
  }
  return 0;
}
