/* One thread loads and unloads a library all the time. Another one asks at the capacity for what a third one releases,
 * 1 MiB every 20 ms: that the loader is busy elsewhere is no reason to refuse what a short wait would bring:
 * loading_elsewhere LIBRARY. */
#include "capacity.h"

static volatile int done;
static char* library;

static void* load(void* unused) {
  int loads = 0;
  for (; !done; ++loads) {
    void* handle = dlopen(library, RTLD_NOW);
    CHECK(handle != NULL);
    CHECK(dlclose(handle) == 0);
  }
  printf("%d loads\n", loads);
  return unused;
}

static void* release(void* unused) {
  while (!done && filled > 0) {
    give_back(MIB);
    sleep_ms(20);
  }
  return unused;
}

int main(int argc, char** argv) {
  pthread_t loader, releaser;
  require_stealth();
  CHECK(argc == 2);
  library = argv[1];
  fill_up_to(64 * MIB - MIB / 2); /* the loader needs some, too */
  CHECK(pthread_create(&loader, NULL, load, NULL) == 0);
  sleep_ms(20);
  CHECK(pthread_create(&releaser, NULL, release, NULL) == 0);
  const double begin = seconds_now();
  for (int i = 0; i < 48; ++i) {
    void* block = touched(MIB);
    CHECK(block != NULL);
    keep(block);
  }
  const double took = seconds_now() - begin;
  printf("%.3f s\n", took);
  CHECK(took > 0.5 || standing_in());
  done = 1;
  CHECK(pthread_join(loader, NULL) == 0 && pthread_join(releaser, NULL) == 0);
  return 0;
}
