// Whatever the program's end runs allocates at the capacity: waitless_exit WAY. Where the end leaves statistics behind
// they say that nobody waited; the ends themselves look at the time.
#include <err.h>

#include "waitless.h"

namespace {

bool is_full = false;

void at_the_end() {
  if (is_full) grab();
  CHECK(facts_now().waits == 0);
}
void with_status(int, void*) { at_the_end(); }

struct Ends {
  ~Ends() { at_the_end(); }
};
Ends of_the_program;
thread_local Ends of_the_thread;

__attribute__((destructor)) void of_the_file() { at_the_end(); }

void* exits(void*) { exit(0); }
void* returns(void*) {
  sleep_ms(300);  // the main thread is gone by then
  return nullptr;
}

void start(void* (*run)(void*)) {
  pthread_t thread;
  CHECK(pthread_create(&thread, nullptr, run, nullptr) == 0);
}

}  // namespace

int main(int argc, char** argv) {
  require_stealth();
  CHECK(argc == 2);
  char const* const way = argv[1];
  bool const last = strcmp(way, "last") == 0;  // there must be no other thread then: it would never end
  keep(&of_the_thread);
  if (last) start(returns);
  if (!last) start_idle_thread();
  CHECK(atexit(at_the_end) == 0);
  CHECK(at_quick_exit(at_the_end) == 0);
  CHECK(on_exit(with_status, nullptr) == 0);
  fill_up_to(32 * MIB);
  is_full = true;
  if (strcmp(way, "exit") == 0) exit(0);
  if (strcmp(way, "quick_exit") == 0) quick_exit(0);
  if (strcmp(way, "errx") == 0) errx(0, "ends");
  if (strcmp(way, "thread") == 0) {
    start(exits);
    while (true) pause();
  }
  if (last) pthread_exit(nullptr);
  return 0;
}
