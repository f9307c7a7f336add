// Threads load a plug-in that has libstealthpool.a in it, use its pools and close it; afterwards their robust mutexes
// still work, and so do fork and their end.
#include <dlfcn.h>
#include <pthread.h>
#include <sys/wait.h>
#include <unistd.h>

#include "../support/test.h"

namespace {

char const* g_plugin;

void* use_and_close(void*) {
  void* const plugin = dlopen(g_plugin, RTLD_NOW | RTLD_LOCAL);
  CHECK(plugin != nullptr);
  auto* const use = reinterpret_cast<int (*)()>(dlsym(plugin, "use_pools"));
  CHECK(use != nullptr && use() == 0);
  CHECK(dlclose(plugin) == 0);
  pthread_mutexattr_t robust;
  pthread_mutexattr_init(&robust);
  pthread_mutexattr_setrobust(&robust, PTHREAD_MUTEX_ROBUST);
  pthread_mutex_t mutex;
  CHECK(pthread_mutex_init(&mutex, &robust) == 0);
  CHECK(pthread_mutex_lock(&mutex) == 0);
  CHECK(pthread_mutex_unlock(&mutex) == 0);
  return nullptr;
}

}  // namespace

int main(int, char** arguments) {
  g_plugin = arguments[1];
  for (int i = 0; i < 3; ++i) {
    pthread_t thread;
    CHECK(pthread_create(&thread, nullptr, use_and_close, nullptr) == 0);
    CHECK(pthread_join(thread, nullptr) == 0);
    pid_t const child = fork();
    if (child == 0) _exit(0);
    int status = -1;
    CHECK(waitpid(child, &status, 0) == child && status == 0);
  }
  use_and_close(nullptr);
  return 0;
}
