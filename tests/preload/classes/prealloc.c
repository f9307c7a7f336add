/* prealloc SIZE COUNT: so many blocks were mapped and touched before main; they are resident, and cost no fault. */
#include <sys/resource.h>

#include "../support/test.h"

enum { MOST = 10000 };

static long faults_so_far(void) {
  struct rusage usage;
  CHECK(getrusage(RUSAGE_SELF, &usage) == 0);
  return usage.ru_minflt;
}

int main(int argc, char** argv) {
  static char* blocks[MOST];
  require_stealth();
  CHECK(argc == 3);
  const size_t size = strtoul(argv[1], NULL, 10), count = strtoul(argv[2], NULL, 10);
  CHECK(count <= MOST);
  memset(blocks, 0, sizeof blocks); /* its own faults are not the question */
  CHECK(resident_bytes() > count * size || standing_in());
  const long before = faults_so_far();
  for (size_t i = 0; i < count; ++i) {
    blocks[i] = malloc(size);
    CHECK(blocks[i] != NULL);
    memset(blocks[i], 1, size);
  }
  /* The blocks have thousands of pages; side tables and the program itself may take a few. */
  const long faults = faults_so_far() - before;
  printf("%ld faults for %zu pages\n", faults, count * size / 4096);
  CHECK((size_t)faults < count * size / 4096 / 20 || standing_in());
  return 0;
}
