/* Every name of the family is ours as the program's own look-up finds it: one that is forgotten would hand out or take
 * back blocks of another heap. */
#include "../support/test.h"

static const char* const names[] = {
    "malloc", "free", "calloc", "realloc", "reallocarray", "memalign", "aligned_alloc", "posix_memalign", "valloc",
    "pvalloc", "malloc_usable_size", "free_sized", "free_aligned_sized", "malloc_trim", "mallinfo", "mallinfo2",
    "malloc_info", "malloc_stats", "mallopt",
    /* operator new, new[]: plain, nothrow, aligned, aligned and nothrow */
    "_Znwm", "_Znam", "_ZnwmRKSt9nothrow_t", "_ZnamRKSt9nothrow_t", "_ZnwmSt11align_val_t", "_ZnamSt11align_val_t",
    "_ZnwmSt11align_val_tRKSt9nothrow_t", "_ZnamSt11align_val_tRKSt9nothrow_t",
    /* operator delete, delete[]: plain, sized, nothrow, aligned, sized and aligned, aligned and nothrow */
    "_ZdlPv", "_ZdaPv", "_ZdlPvm", "_ZdaPvm", "_ZdlPvRKSt9nothrow_t", "_ZdaPvRKSt9nothrow_t", "_ZdlPvSt11align_val_t",
    "_ZdaPvSt11align_val_t", "_ZdlPvmSt11align_val_t", "_ZdaPvmSt11align_val_t", "_ZdlPvSt11align_val_tRKSt9nothrow_t",
    "_ZdaPvSt11align_val_tRKSt9nothrow_t"};

int main(void) {
  int missing = 0;
  require_stealth();
  for (size_t i = 0; i < sizeof names / sizeof names[0]; ++i) {
    Dl_info found;
    void* symbol = dlsym(RTLD_DEFAULT, names[i]);
    if (symbol == NULL || dladdr(symbol, &found) == 0 || strstr(found.dli_fname, "libstealth") == NULL) {
      fprintf(stderr, "%s is not ours: %s\n", names[i], symbol == NULL ? "nobody's" : found.dli_fname);
      ++missing;
    }
  }
  CHECK(missing == 0 || standing_in());
  return 0;
}
