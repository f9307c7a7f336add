/* We hold no file descriptor, whatever the program does: its open ones are those that it was started with, and it may
 * close them all. */
#include <dirent.h>
#include <pthread.h>

#include "../support/test.h"

static int beyond_the_first_three(void) {
  int count = 0;
  DIR* directory = opendir("/proc/self/fd");
  CHECK(directory != NULL);
  for (struct dirent* entry = readdir(directory); entry != NULL; entry = readdir(directory)) {
    const int number = entry->d_name[0] == '.' ? -1 : atoi(entry->d_name);
    count += number > 2 && number != dirfd(directory);
  }
  CHECK(closedir(directory) == 0);
  return count;
}

static void* work(void* unused) {
  for (size_t size = 1; size < 8 * MIB; size = size * 3 + 1) {
    void* block = malloc(size);
    CHECK(block != NULL);
    memset(block, 1, size);
    free(block);
  }
  return unused;
}

int main(void) {
  pthread_t thread;
  require_stealth();
  CHECK(beyond_the_first_three() == 0);
  work(NULL);
  CHECK(pthread_create(&thread, NULL, work, NULL) == 0);
  CHECK(pthread_join(thread, NULL) == 0);
  malloc_trim(0);
  CHECK(beyond_the_first_three() == 0);
  CHECK(close_range(0, ~0U, 0) == 0);
  work(NULL);
  CHECK(open("/dev/null", O_RDWR) == 0);
  return 0;
}
