/* The keeper opens files while it looks after the control page: in a table of its own, or the program would now and
 * then get another descriptor than it expects, and close or write to one that is not its own. */
#include <dirent.h>
#include <fcntl.h>
#include <limits.h>

#include "keeper.h"

/* All that the keeper has open: three that stand for nothing, and, for a moment, files of its own. */
static void look_at_its_files(void) {
  char path[64], link[PATH_MAX];
  DIR* const tasks = opendir("/proc/self/task");
  CHECK(tasks != NULL);
  int looked_at = 0;
  for (struct dirent* task; (task = readdir(tasks)) != NULL;) {
    const int id = atoi(task->d_name);
    if (id == 0 || id == getpid()) continue;
    for (int file = 0; file < 3; ++file) {
      snprintf(path, sizeof path, "/proc/self/task/%d/fd/%d", id, file);
      const ssize_t length = readlink(path, link, sizeof link - 1);
      CHECK(length > 0);
      link[length] = '\0';
      CHECK(strcmp(link, "/dev/null") == 0);
      ++looked_at;
    }
  }
  closedir(tasks);
  CHECK(looked_at == 3);
}

int main(void) {
  require_stealth();
  for (int tries = 0; threads_now() != 2; ++tries) {
    CHECK(tries < 3000);
    usleep(10000);
  }
  usleep(100000); /* until it has begun */
  look_at_its_files();
  const int first = open("/dev/zero", O_RDONLY);
  const double end = seconds_now() + 3;
  while (seconds_now() < end) {
    const int next = open("/dev/zero", O_RDONLY);
    CHECK(next == first + 1);
    CHECK(close(next) == 0);
  }
  return 0;
}
