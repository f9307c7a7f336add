/* The counterpart of the places where nobody waits: in an ordinary place the same request is waited for. */
#include "waitless.h"

int main(void) {
  stand_at_capacity();
  CHECK(facts_now().waits == 0);
  for (int i = 0; i < GRABS; ++i) {
    keep(touched(MIB));
  }
  return 0;
}
