/* The classic: room for the letters, and not for the zero behind them. */
#include "../fault.h"

int main(void) {
  const char* text = "twenty-four letters long";
  require_stealth();
  char* copy = malloc(strlen(text));
  accuse(copy);
  keep(strcpy(copy, text));
  free(copy);
  return 0;
}
