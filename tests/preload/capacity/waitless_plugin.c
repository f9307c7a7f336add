/* Allocates when it comes and when it goes. */
#include "waitless.h"

int plugin_answer(void);
int plugin_answer(void) { return 42; }

__attribute__((constructor)) static void come(void) { grab(); }
__attribute__((destructor)) static void go(void) { grab(); }
