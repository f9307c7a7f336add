// Waits for statistics that are written while the program runs, and ends without those at exit.
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

int main(void) {
  const char* const path = strstr(getenv("STEALTH_STATS"), "json:") + 5;
  for (int tries = 0; tries < 6000; ++tries) {
    char text[256] = "";
    FILE* const file = fopen(path, "r");
    if (file != NULL) {
      const size_t got = fread(text, 1, sizeof text - 1, file);
      fclose(file);
      if (got > 0 && strstr(text, "\"version\"") != NULL) {
        puts("works");
        fflush(stdout);
        _exit(0);
      }
    }
    usleep(10000);
  }
  return 1;
}
