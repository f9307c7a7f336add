/* The lock functions that stand in front of libc's do what those do: in every kind, with every result, and before
 * main. */
#include <errno.h>
#include <pthread.h>
#include <threads.h>

#include "../support/test.h"

static pthread_mutex_t early = PTHREAD_MUTEX_INITIALIZER;
static int early_result = -1;

__attribute__((constructor)) static void before_main(void) { early_result = pthread_mutex_lock(&early); }

static void* owner_dies(void* mutex) {
  CHECK(pthread_mutex_lock(mutex) == 0);
  return NULL;
}

/* Else nothing is tested here. */
static int stands_in_front(const char* name) {
  Dl_info info;
  void* symbol = dlsym(RTLD_DEFAULT, name);
  return symbol != NULL && dladdr(symbol, &info) != 0 && strstr(info.dli_fname, "libstealth.so") != NULL;
}

int main(void) {
  pthread_mutexattr_t kind;
  pthread_mutex_t mutex;
  mtx_t plain;
  require_stealth();
  CHECK(standing_in() || (stands_in_front("pthread_mutex_lock") && stands_in_front("mtx_lock") &&
                          stands_in_front("pthread_rwlock_rdlock") && stands_in_front("pthread_rwlock_wrlock")));
  CHECK(early_result == 0 && pthread_mutex_trylock(&early) == EBUSY && pthread_mutex_unlock(&early) == 0);

  CHECK(pthread_mutexattr_init(&kind) == 0);
  CHECK(pthread_mutexattr_settype(&kind, PTHREAD_MUTEX_ERRORCHECK) == 0 && pthread_mutex_init(&mutex, &kind) == 0);
  CHECK(pthread_mutex_lock(&mutex) == 0 && pthread_mutex_lock(&mutex) == EDEADLK && pthread_mutex_unlock(&mutex) == 0);
  CHECK(pthread_mutex_destroy(&mutex) == 0);

  CHECK(pthread_mutexattr_settype(&kind, PTHREAD_MUTEX_RECURSIVE) == 0 && pthread_mutex_init(&mutex, &kind) == 0);
  CHECK(pthread_mutex_lock(&mutex) == 0 && pthread_mutex_lock(&mutex) == 0);
  CHECK(pthread_mutex_unlock(&mutex) == 0 && pthread_mutex_unlock(&mutex) == 0 &&
        pthread_mutex_unlock(&mutex) == EPERM);
  CHECK(pthread_mutex_destroy(&mutex) == 0);

  CHECK(pthread_mutexattr_settype(&kind, PTHREAD_MUTEX_NORMAL) == 0);
  CHECK(pthread_mutexattr_setrobust(&kind, PTHREAD_MUTEX_ROBUST) == 0 && pthread_mutex_init(&mutex, &kind) == 0);
  pthread_t thread;
  CHECK(pthread_create(&thread, NULL, owner_dies, &mutex) == 0 && pthread_join(thread, NULL) == 0);
  CHECK(pthread_mutex_lock(&mutex) == EOWNERDEAD && pthread_mutex_consistent(&mutex) == 0);
  CHECK(pthread_mutex_unlock(&mutex) == 0);
  CHECK(pthread_mutex_destroy(&mutex) == 0 && pthread_mutexattr_destroy(&kind) == 0);

  CHECK(mtx_init(&plain, mtx_plain) == thrd_success && mtx_lock(&plain) == thrd_success);
  CHECK(mtx_trylock(&plain) == thrd_busy && mtx_unlock(&plain) == thrd_success);
  mtx_destroy(&plain);

  pthread_rwlock_t lock = PTHREAD_RWLOCK_INITIALIZER;
  CHECK(pthread_rwlock_rdlock(&lock) == 0 && pthread_rwlock_rdlock(&lock) == 0);
  CHECK(pthread_rwlock_trywrlock(&lock) == EBUSY);
  CHECK(pthread_rwlock_unlock(&lock) == 0 && pthread_rwlock_unlock(&lock) == 0);
  CHECK(pthread_rwlock_wrlock(&lock) == 0 && pthread_rwlock_wrlock(&lock) == EDEADLK);
  CHECK(pthread_rwlock_rdlock(&lock) == EDEADLK && pthread_rwlock_unlock(&lock) == 0);
  CHECK(pthread_rwlock_destroy(&lock) == 0);
  return 0;
}
