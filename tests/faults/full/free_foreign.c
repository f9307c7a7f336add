/* free_foreign stack|data|closed|nothing|thread|usable_size|realloc: free of what no allocator gave, or a question
 * about it. */
#include <pthread.h>
#include <sys/mman.h>

#include "../fault.h"

static char data[64] __attribute__((aligned(16))) = {1};

static void* free_own_stack(void* unused) {
  char local[64] __attribute__((aligned(16))) = {0};
  accuse(local);
  keep(&local);
  free(local);
  return unused;
}

int main(int argc, char** argv) {
  pthread_t thread;
  require_stealth();
  CHECK(argc == 2);
  if (strcmp(argv[1], "stack") == 0) {
    free_own_stack(NULL);
  } else if (strcmp(argv[1], "thread") == 0) {
    CHECK(pthread_create(&thread, NULL, free_own_stack, NULL) == 0);
    pthread_join(thread, NULL);
  } else {
    void* wrong = strcmp(argv[1], "data") == 0 ? (void*)data : (void*)(uintptr_t)0x123450;
    if (strcmp(argv[1], "closed") == 0) {
      char* pages = mmap(NULL, 65536, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
      CHECK(pages != MAP_FAILED);
      wrong = pages + 32768;
    }
    accuse(wrong);
    if (strcmp(argv[1], "usable_size") == 0) {
      return malloc_usable_size(wrong) == 1;
    }
    if (strcmp(argv[1], "realloc") == 0) {
      wrong = realloc(wrong, 100);
    }
    free(wrong);
  }
  return 0;
}
