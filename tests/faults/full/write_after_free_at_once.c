/* A freed block is written to, and the program ends. */
#include "../fault.h"

int main(void) {
  require_stealth();
  void* block = malloc(48);
  accuse(block);
  free(block);
  write_byte(block, 40, 1);
  return 0;
}
