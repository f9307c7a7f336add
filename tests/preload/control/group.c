/* Two processes of a group: a capacity that one of them sets holds for both, and stays when the other one changes
 * something else. */
#include <glob.h>
#include <sys/wait.h>

#include "api.h"

static int member(void) {
  CHECK(stats_now().group_members == 2);
  set("capacity", "64m");
  CHECK(stats_now().capacity == 64 * MIB);
  return 0;
}

/* The file of the group has served its purpose. */
static void remove_file(void) {
  char pattern[128];
  glob_t found;
  snprintf(pattern, sizeof pattern, "/dev/shm/stealth-%u/%s.*", (unsigned)getuid(), getenv("STEALTH_GROUP"));
  if (glob(pattern, 0, NULL, &found) == 0) {
    for (size_t i = 0; i < found.gl_pathc; ++i) {
      unlink(found.gl_pathv[i]);
    }
    globfree(&found);
  }
}

int main(int argc, char** argv) {
  load_api();
  if (getenv("STEALTH_GROUP") == NULL) { /* a group of this test's own */
    char name[64];
    snprintf(name, sizeof name, "control-test.%d", (int)getpid());
    setenv("STEALTH_GROUP", name, 1);
    execv(argv[0], argv);
    check_failed(__FILE__, __LINE__, "it can be executed again");
  }
  if (argc == 2) {
    return member();
  }
  struct stealth_statistics now = stats_now();
  CHECK(now.group_members == 1 && now.capacity == 96 * MIB);
  int status = -1;
  const pid_t child = fork();
  if (child == 0) {
    unsetenv("STEALTH_CAPACITY");
    execl(argv[0], argv[0], "member", (char*)NULL);
    _exit(127);
  }
  CHECK(waitpid(child, &status, 0) == child && status == 0);
  CHECK(stats_now().capacity == 64 * MIB);
  set("mode", "observe");
  set("soft", "80%");
  now = stats_now();
  CHECK(now.capacity == 64 * MIB && now.soft_point == 64 * MIB / 1000 * 800);
  set("capacity", "128m");
  CHECK(stats_now().capacity == 128 * MIB);
  remove_file();
  return 0;
}
