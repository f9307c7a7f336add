/* For programs that commit one fault each: the pointer that the report must name goes to stdout first. */
#ifndef TESTS_PRELOAD_FAULTS_FAULT_H
#define TESTS_PRELOAD_FAULTS_FAULT_H

#include "../support/test.h"

static inline void accuse(const void* pointer) {
  printf("%p\n", pointer);
  fflush(stdout);
}

#endif
