// The door to the kernel. Alone in its file, so that tests can link another one in its place (tests/unit/fake_sys.cpp).
#include <unistd.h>

#include <cerrno>

#include "os/os.hpp"

namespace stealth::os {

long sys(long number, long a, long b, long c, long d, long e, long f) noexcept {
  int const saved = errno;
  long result = ::syscall(number, a, b, c, d, e, f);
  if (result == -1) result = -errno;
  errno = saved;
  return result;
}

}  // namespace stealth::os
