/* Linked against a library whose constructor starts and joins a thread. */
#include "../support/test.h"

extern void* left_by_constructor;

int main(void) {
  require_stealth();
  CHECK(left_by_constructor != NULL);
  return 0;
}
