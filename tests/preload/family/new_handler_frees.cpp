// A new-handler that gives memory back makes new succeed: run under an address-space limit, with a reserve of 64 MiB.
#include <new>

#include "../support/test.h"

static void* reserve = nullptr;
static int calls = 0;

static void give_up_the_reserve() {
  ++calls;
  if (reserve == nullptr) {
    std::set_new_handler(nullptr);
    return;
  }
  free(reserve);
  reserve = nullptr;
}

int main() {
  require_stealth();
  reserve = malloc(64 * MIB);
  CHECK(reserve != nullptr);
  std::set_new_handler(give_up_the_reserve);
  for (int i = 0; calls == 0; ++i) {
    CHECK(i < 1000);  // the limit is well below 1,000 MiB
    void* block = operator new(MIB);
    CHECK(block != nullptr);
    keep(block);
  }
  // The call that met the limit succeeded, since the handler freed; so must some more.
  for (int i = 0; i < 20; ++i) {
    keep(operator new(MIB));
  }
  CHECK(calls == 1);
  bool gaveUp = false;
  for (int i = 0; i < 1000 && !gaveUp; ++i) {
    try {
      keep(operator new(MIB));
    } catch (const std::bad_alloc&) {
      gaveUp = true;
    }
  }
  CHECK(gaveUp && calls == 2);
  return 0;
}
