/* Uses an installed libstealth as a stranger would. */
#include <stdio.h>
#include <stealth/stealth.h>

int main(void) {
  struct stealth_statistics now;
  now.size = sizeof now;
  if (stealth_stats(&now) != STEALTH_OK) return 1;
  printf("held %llu\n", (unsigned long long)now.held);
  return 0;
}
