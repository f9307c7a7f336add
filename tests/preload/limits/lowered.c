/* A program lowers its own address-space limit once it runs, to what it uses plus 64 MiB: lowered setrlimit | prlimit |
 * prlimit-self | hard. Our reservation must not be in its way: it can still map 32 MiB itself, malloc in small and
 * large blocks, and start a thread. */
#include <pthread.h>
#include <sys/mman.h>
#include <sys/resource.h>

#include "../support/test.h"

/* What counts as used: all mappings but those that nobody can touch, which are reservations. Read without stdio's help,
 * as its buffer would be part of the picture. */
static size_t used_bytes(void) {
  static char text[1 << 16];
  size_t length = 0, sum = 0;
  const int file = open("/proc/self/maps", O_RDONLY);
  CHECK(file >= 0);
  for (ssize_t got = 1; got > 0; length += (size_t)got) {
    got = read(file, text + length, sizeof text - 1 - length);
    CHECK(got >= 0);
  }
  close(file);
  text[length] = '\0';
  for (char* line = text; *line != '\0'; line = strchr(line, '\n') + 1) {
    unsigned long from = 0, to = 0;
    char rights[8];
    CHECK(sscanf(line, "%lx-%lx %7s", &from, &to, rights) == 3);
    sum += rights[0] == '-' ? 0 : to - from;
  }
  return sum;
}

static void* work(void* unused) {
  free(malloc(50 * KIB));
  return unused;
}

int main(int argc, char** argv) {
  struct rlimit limit, old;
  static void* blocks[8000];
  pthread_t thread;
  pthread_attr_t attributes;
  require_stealth();
  CHECK(argc == 2);
  for (size_t size = 1; size < 20 * MIB; size = size * 3 + 1) {
    free(malloc(size)); /* it has lived a little */
  }
  CHECK(getrlimit(RLIMIT_AS, &limit) == 0);
  limit.rlim_cur = used_bytes() + 64 * MIB;
  if (strcmp(argv[1], "setrlimit") == 0) {
    CHECK(setrlimit(RLIMIT_AS, &limit) == 0);
  } else if (strcmp(argv[1], "prlimit") == 0) {
    CHECK(prlimit(0, RLIMIT_AS, &limit, &old) == 0);
    CHECK(old.rlim_cur == RLIM_INFINITY);
  } else if (strcmp(argv[1], "prlimit-self") == 0) {
    CHECK(prlimit(getpid(), RLIMIT_AS, &limit, NULL) == 0);
  } else {
    CHECK(strcmp(argv[1], "hard") == 0);
    limit.rlim_max = limit.rlim_cur;
    CHECK(setrlimit(RLIMIT_AS, &limit) == 0);
  }
  CHECK(getrlimit(RLIMIT_AS, &old) == 0 && old.rlim_cur == limit.rlim_cur);
  char* own = mmap(NULL, 32 * MIB, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
  CHECK(own != MAP_FAILED);
  for (int i = 0; i < 8000; ++i) {
    blocks[i] = malloc(1000);
    CHECK(blocks[i] != NULL);
  }
  void* large = malloc(4 * MIB);
  CHECK(large != NULL);
  pthread_attr_init(&attributes);
  CHECK(pthread_attr_setstacksize(&attributes, 256 * KIB) == 0);
  CHECK(pthread_create(&thread, &attributes, work, NULL) == 0);
  CHECK(pthread_join(thread, NULL) == 0);
  CHECK_FAILS(malloc(200 * MIB), ENOMEM);
  own[32 * MIB - 1] = 1;
  for (int i = 0; i < 8000; ++i) {
    free(blocks[i]);
  }
  free(large);
  return 0;
}
