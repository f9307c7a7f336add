/* free, realloc or malloc_usable_size of an address where libstealth keeps its own records: they take gigabytes of
 * addresses in front of the first block. */
#include "../fault.h"

int main(int argc, char** argv) {
  require_stealth();
  char* record = (char*)malloc(16) - 128 * MIB;
  accuse(record);
  if (argc == 2 && strcmp(argv[1], "realloc") == 0) {
    keep(realloc(record, 100));
  } else if (argc == 2 && strcmp(argv[1], "usable_size") == 0) {
    opaque(malloc_usable_size(record));
  } else {
    free(record);
  }
  return 0;
}
