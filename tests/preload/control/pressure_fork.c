/* Forks from a program with a subscription, while its callbacks run: the children have none, and can have their own.
 * The last children are forked by a callback. */
#include <signal.h>
#include <stdatomic.h>
#include <sys/wait.h>

#include "api.h"

static atomic_int calls, forked;

static void told(enum stealth_pressure level, void* context) {
  (void)level;
  (void)context;
  atomic_fetch_add(&calls, 1);
  void* volatile block = malloc(100);
  CHECK(block != NULL);
  free(block);
}

static void wait_for(pid_t child) {
  int status = -1;
  CHECK(child > 0);
  CHECK(waitpid(child, &status, 0) == child);
  CHECK(status == 0);
}

static void forks(enum stealth_pressure level, void* context) {
  (void)level;
  (void)context;
  if (atomic_load(&forked)) {
    return;
  }
  const pid_t child = fork();
  if (child == 0) {
    void* block = touched(MIB);
    _exit(block == NULL);
  }
  wait_for(child);
  atomic_store(&forked, 1);
}

static void until(atomic_int* count, int wanted) {
  for (int i = 0; atomic_load(count) < wanted; ++i) {
    CHECK(i < 60000);
    /* A request over the capacity, which the policy lets through. */
    void* block = touched(2 * MIB);
    CHECK(block != NULL);
    free(block);
    usleep(1000);
  }
}

static void child_of(uint64_t parents_handle) {
  uint64_t handle = 0;
  alarm(120);
  atomic_store(&calls, 0);
  CHECK(api.pressure_end(parents_handle) == STEALTH_INVALID_HANDLE);
  CHECK(api.on_pressure(told, NULL, &handle) == STEALTH_OK);
  set("capacity", "1m");
  until(&calls, 1);
  CHECK(api.pressure_end(handle) == STEALTH_OK);
  _exit(0);
}

int main(void) {
  uint64_t handle = 0, other = 0;
  load_api();
  CHECK(api.on_pressure(told, NULL, &handle) == STEALTH_OK);
  set("capacity", "1m");
  for (int i = 0; i < 20; ++i) {
    until(&calls, i / 4); /* events go on meanwhile */
    const pid_t child = fork();
    if (child == 0) {
      child_of(handle);
    }
    wait_for(child);
  }
  until(&calls, atomic_load(&calls) + 1); /* and the parent's subscription is as it was */
  CHECK(api.on_pressure(forks, NULL, &other) == STEALTH_OK);
  until(&forked, 1);
  CHECK(api.pressure_end(handle) == STEALTH_OK && api.pressure_end(other) == STEALTH_OK);
  return 0;
}
