/* A member of a group that becomes another user on its way, as servers do: from then on it is with that user's group of
 * this name, with the capacity it had, and those that it leaves do not count it any more. Needs root. */
#include <glob.h>
#include <grp.h>
#include <sys/stat.h>
#include <sys/wait.h>

#include "api.h"

enum { NOBODY = 65534 };

/* Membership is looked after now and then, by whoever takes fresh memory. */
static void until_members(uint32_t wanted) {
  for (int i = 0; stats_now().group_members != wanted; ++i) {
    CHECK(i < 6000);
    free(malloc(5 * MIB));
    malloc_trim(0);
    usleep(10000);
  }
}

static int group_files(unsigned user, int unlink_them) {
  char pattern[160];
  glob_t found;
  int count = 0;
  snprintf(pattern, sizeof pattern, "/dev/shm/stealth-%u/%s.*", user, getenv("STEALTH_GROUP"));
  if (glob(pattern, 0, NULL, &found) == 0) {
    for (size_t i = 0; i < found.gl_pathc; ++i) {
      struct stat facts;
      if (stat(found.gl_pathv[i], &facts) == 0) {
        CHECK(facts.st_uid == user);
        ++count;
      }
      if (unlink_them) {
        unlink(found.gl_pathv[i]);
      }
    }
    globfree(&found);
  }
  return count;
}

static void expect(int file) {
  char byte = 0;
  CHECK(read(file, &byte, 1) == 1);
}
static void tell(int file) { CHECK(write(file, "x", 1) == 1); }

static void change_user(int from_parent, int to_parent) {
  alarm(120);
  until_members(2);
  tell(to_parent);
  expect(from_parent);
  CHECK(setgroups(0, NULL) == 0 && setresgid(NOBODY, NOBODY, NOBODY) == 0);
  CHECK(setresuid(NOBODY, NOBODY, NOBODY) == 0);
  until_members(1);
  CHECK(group_files(NOBODY, 0) == 1);
  CHECK(stats_now().capacity == 96 * MIB);
  set("capacity", "64m"); /* for its own group alone */
  CHECK(stats_now().capacity == 64 * MIB);
  tell(to_parent);
  expect(from_parent);
  exit(0);
}

int main(int argc, char** argv) {
  int down[2], up[2], status = -1;
  (void)argc;
  load_api();
  if (getuid() != 0) {
    fprintf(stderr, "this test changes its user: run it as root\n");
    return 3;
  }
  if (getenv("STEALTH_GROUP") == NULL) { /* a group of this test's own */
    char name[64];
    snprintf(name, sizeof name, "identity-test.%d", (int)getpid());
    setenv("STEALTH_GROUP", name, 1);
    execv(argv[0], argv);
    check_failed(__FILE__, __LINE__, "it can be executed again");
  }
  CHECK(pipe(down) == 0 && pipe(up) == 0);
  CHECK(stats_now().group_members == 1 && stats_now().capacity == 96 * MIB);
  const pid_t child = fork();
  CHECK(child >= 0);
  if (child == 0) {
    change_user(down[0], up[1]);
  }
  expect(up[0]);
  until_members(2);
  tell(down[1]);
  expect(up[0]);
  until_members(1);
  CHECK(stats_now().capacity == 96 * MIB);
  CHECK(group_files(NOBODY, 0) == 1);
  tell(down[1]);
  CHECK(waitpid(child, &status, 0) == child && WIFEXITED(status) && WEXITSTATUS(status) == 0);
  CHECK(group_files(NOBODY, 0) == 0); /* the last one out takes it away */
  CHECK(group_files(0, 1) == 1);
  return 0;
}
