/* Of a class there may be 100 blocks; more of them are asked for, and nobody frees any. Each call ends within the
 * patience of 100 ms by the policy: class_then_policy grant|enomem. */
#include "capacity.h"

int main(int argc, char** argv) {
  require_stealth();
  CHECK(argc == 2);
  const int grants = strcmp(argv[1], "grant") == 0;
  start_idle_thread();
  for (int i = 0; i < 100; ++i) {
    keep(malloc(3000));
  }
  for (int i = 0; i < 5; ++i) {
    const double begin = seconds_now();
    void* block = malloc(3000);
    const double took = seconds_now() - begin;
    CHECK((grants ? block != NULL : block == NULL) || standing_in());
    CHECK(took < 12 && (grants || took > 0.09 || standing_in()));
    keep(block);
  }
  return 0;
}
