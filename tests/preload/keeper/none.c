/* No thread where little becomes free, nor (`delay`) where free memory goes back at once. */
#include "keeper.h"

int main(int argc, char** argv) {
  require_stealth();
  if (argc > 1 && strcmp(argv[1], "delay") == 0) {
    use_and_free();
    CHECK(threads_now() == 1);
    return 0;
  }
  for (int round = 0; round < 200; ++round) {
    char* blocks[24];
    for (int i = 0; i < 24; ++i) {
      blocks[i] = malloc(100 * KIB);
      CHECK(blocks[i] != NULL);
      memset(blocks[i], 1, 100 * KIB);
    }
    for (int i = 0; i < 24; ++i) {
      free(blocks[i]);
    }
    CHECK(threads_now() == 1);
    usleep(2000);
  }
  return 0;
}
