// Makes robust mutexes missing in this program, as under qemu's user mode; linked with --wrap=pthread_mutex_init.
#include <pthread.h>

#include <cerrno>

extern "C" {
int __real_pthread_mutex_init(pthread_mutex_t* mutex, pthread_mutexattr_t const* attributes);
int __wrap_pthread_mutex_init(pthread_mutex_t* mutex, pthread_mutexattr_t const* attributes);
int __wrap_pthread_mutex_init(pthread_mutex_t* mutex, pthread_mutexattr_t const* attributes) {
  int robust = PTHREAD_MUTEX_STALLED;
  if (attributes != nullptr) pthread_mutexattr_getrobust(attributes, &robust);
  return robust == PTHREAD_MUTEX_ROBUST ? ENOTSUP : __real_pthread_mutex_init(mutex, attributes);
}
}
