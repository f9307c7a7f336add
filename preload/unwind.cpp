// libstealth-unwind.so: libunwind behind one name. An object of its own, so that only programs that are profiled load
// libunwind (preload/unwinder.cpp opens it).
#define UNW_LOCAL_ONLY
#include <libunwind.h>

// Return addresses of the caller, innermost first; how many. unw_backtrace keeps what it has learnt of each frame in
// the thread, and is several times quicker than a cursor.
extern "C" __attribute__((visibility("default"))) int stealth_unwind(void** into, int most) noexcept {
  return unw_backtrace(into, most);
}
