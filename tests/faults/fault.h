/* For programs that commit one fault each: the pointer that the report must name goes to stdout first. */
#ifndef TESTS_FAULTS_FAULT_H
#define TESTS_FAULTS_FAULT_H

#include "../preload/support/test.h"

static inline void accuse(const void* pointer) {
  printf("%p\n", pointer);
  fflush(stdout);
}

/* What the program does with a byte that is not its own; the compiler shall not know. */
static inline void write_byte(void* block, ptrdiff_t at, int value) {
  char* bytes = TEST_NUMBER(char*, block);
  keep(&bytes);
  *TEST_CAST(volatile char*, bytes + at) = TEST_NUMBER(char, value);
}
static inline int read_byte(const void* block, ptrdiff_t at) {
  const char* bytes = TEST_NUMBER(const char*, block);
  keep(&bytes);
  return *TEST_CAST(const volatile char*, bytes + at);
}

/* Allocates and frees so many of a size that one which was freed before comes to be handed out again. */
static inline void go_round(size_t size) {
  for (int i = 0; i < 5000; ++i) {
    free(malloc(size));
  }
}

#endif
