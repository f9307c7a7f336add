/* fork while the keeper is there, resting or at work: the child has none, can do everything, and gets one of its own.
 */
#include "keeper.h"

static void child_works(void) {
  CHECK(threads_now() == 1);
  const size_t before = resident_bytes();
  use_until_kept();
  CHECK(resident_falls_below(before + 8 * MIB, 5));
}

int main(void) {
  require_stealth();
  use_until_kept();
  for (int i = 0; i < 100; ++i) {
    if (i % 10 == 0) {
      use_and_free();
    }
    const pid_t child = fork();
    CHECK(child >= 0);
    if (child == 0) {
      alarm(60);
      CHECK(threads_now() == 1);
      if (i % 25 == 0) {
        child_works();
      }
      free(malloc(100000));
      _exit(0);
    }
    expect_clean_end(child);
  }
  const pid_t child = vfork(); /* shares the memory, and must not have one made in it */
  if (child == 0) {
    use_and_free();
    CHECK(threads_now() == 1);
    _exit(0);
  }
  expect_clean_end(child);
  return 0;
}
