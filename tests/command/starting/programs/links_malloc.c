/* Links that library, and calls the function of its own. */
#include <stddef.h>

void* mallocx(size_t size, int flags);

int main(void) { return mallocx(100, 0) == NULL; }
