// Taking a lock: where a thread waits for what was put off in malloc. At the capacity, who sleeps with a lock in hand
// may keep out those who could release something. Who holds one cannot be seen, but when one is taken can, and at that
// moment the last one has most often been given back. Calls are passed on by a jump.
#include "locks.hpp"

#include <pthread.h>
#include <threads.h>

#include "engine/hot.hpp"
#include "engine/outside.hpp"
#include "interposed.hpp"

namespace {

template <class L>
using Next = stealth::Interposed<int(L*)>;

constinit Next<pthread_mutex_t> g_mutex_lock{"pthread_mutex_lock"};
constinit Next<mtx_t> g_mtx_lock{"mtx_lock"};
constinit Next<pthread_rwlock_t> g_rdlock{"pthread_rwlock_rdlock"};
constinit Next<pthread_rwlock_t> g_wrlock{"pthread_rwlock_wrlock"};

template <class L>
__attribute__((noinline)) int take_slowly(Next<L>& next, L* lock) noexcept {
  if (stealth::t_thread.watches_locks) stealth::about_to_lock();
  return next.get()(lock);
}

template <class L>
inline int take(Next<L>& next, L* lock) noexcept {
  auto* const known = next.known();
  if (stealth::t_thread.watches_locks || known == nullptr) [[unlikely]]
    return take_slowly(next, lock);
  return known(lock);
}

}  // namespace

void stealth::find_locks() noexcept {
  static_cast<void>(g_mutex_lock.get());
  static_cast<void>(g_mtx_lock.get());
  static_cast<void>(g_rdlock.get());
  static_cast<void>(g_wrlock.get());
}

STEALTH_EXPORT int pthread_mutex_lock(pthread_mutex_t* mutex) noexcept { return take(g_mutex_lock, mutex); }
STEALTH_EXPORT int mtx_lock(mtx_t* mutex) { return take(g_mtx_lock, mutex); }
STEALTH_EXPORT int pthread_rwlock_rdlock(pthread_rwlock_t* lock) noexcept { return take(g_rdlock, lock); }
STEALTH_EXPORT int pthread_rwlock_wrlock(pthread_rwlock_t* lock) noexcept { return take(g_wrlock, lock); }
