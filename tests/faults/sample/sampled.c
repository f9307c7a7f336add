/* sampled FAULT: allocates until an allocation has a page of its own, and commits the fault on that one. It tells by
 * malloc_usable_size, which says of those what was asked for. */
#include "../fault.h"

#define SIZE TEST_NUMBER(size_t, 40)
#define PAGE TEST_NUMBER(size_t, sysconf(_SC_PAGESIZE))

static int is_sampled(void* block) { return malloc_usable_size(block) == SIZE; }
static int ends_page(const void* block) { return address_of(block) % PAGE == (PAGE - SIZE) / 16 * 16; }
static int begins_page(const void* block) { return address_of(block) % PAGE == 0; }

/* They are drawn while a few lists are counted, and again after a rest of up to a second, once the slow path has been
 * met some times: so many blocks at once find their lists empty. */
static void* get_sampled(int (*is_wanted)(const void*)) {
  static void* blocks[4000];
  void* found = NULL;
  for (double end = seconds_now() + 100; found == NULL && seconds_now() < end;) {
    for (size_t i = 0; i < sizeof blocks / sizeof *blocks; ++i) {
      blocks[i] = malloc(SIZE);
    }
    for (size_t i = 0; i < sizeof blocks / sizeof *blocks; ++i) {
      if (found == NULL && is_sampled(blocks[i]) && is_wanted(blocks[i])) {
        found = blocks[i];
      } else {
        free(blocks[i]);
      }
    }
  }
  CHECK(found != NULL); /* one was sampled */
  return found;
}

int main(int argc, char** argv) {
  require_stealth();
  CHECK(argc == 2);
  const char* fault = argv[1];
  int at_end = strncmp(fault, "overflow", 8) == 0 || strcmp(fault, "underflow_written") == 0;
  char* block = get_sampled(at_end ? ends_page : begins_page);
  accuse(strcmp(fault, "free_inside") == 0 ? block + 16 : strcmp(fault, "underflow_free") == 0 ? block - 16 : block);
  if (strcmp(fault, "use_after_free") == 0) {
    free(block);
    return read_byte(block, 7);
  }
  if (strcmp(fault, "write_after_free") == 0) {
    free(block);
    write_byte(block, 0, 1);
  } else if (strcmp(fault, "overflow") == 0) {
    return read_byte(block, 48);
  } else if (strcmp(fault, "overflow_written") == 0) {
    write_byte(block, 40, 0);
    free(block);
  } else if (strcmp(fault, "underflow") == 0) {
    return read_byte(block, -1);
  } else if (strcmp(fault, "underflow_written") == 0) {
    write_byte(block, -3, 0);
    free(block);
  } else if (strcmp(fault, "double_free") == 0) {
    free(block);
    free(block);
  } else if (strcmp(fault, "free_inside") == 0) {
    free(block + 16);
  } else if (strcmp(fault, "underflow_free") == 0) {
    free(block - 16);
  } else if (strcmp(fault, "usable_size") == 0) {
    free(block);
    printf("%zu\n", malloc_usable_size(block));
  } else if (strcmp(fault, "realloc") == 0) {
    free(block);
    keep(realloc(block, 100));
  } else if (strcmp(fault, "none") == 0) {
    memset(block, 1, SIZE);
    char* larger = realloc(block, 3000);
    CHECK(larger != NULL && larger[0] == 1 && larger[SIZE - 1] == 1);
    free(larger);
    CHECK(block != larger);
  } else {
    CHECK(strcmp(fault, "a fault that is known") == 0);
  }
  return 0;
}
