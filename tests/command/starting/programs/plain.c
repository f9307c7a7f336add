/* As little as a program can do with memory: it calls malloc and free. */
#include <stdlib.h>

int main(void) {
  void* volatile block = malloc(100);
  free(block);
  return block == NULL;
}
