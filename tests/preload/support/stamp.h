/* A stamp over a block of any size that is quick to make and to check: both ends whole, and a byte in every 256
 * between, so that two blocks that overlap cannot both keep theirs. */
#ifndef TESTS_PRELOAD_SUPPORT_STAMP_H
#define TESTS_PRELOAD_SUPPORT_STAMP_H

#include "test.h"

enum { STAMP_END = 256 };

static inline void stamp(void* block, size_t size, unsigned seed) {
  if (size <= TEST_NUMBER(size_t, 2 * STAMP_END)) {
    fill(block, 0, size, seed);
    return;
  }
  fill(block, 0, STAMP_END, seed);
  fill(block, size - STAMP_END, size, seed);
  unsigned char* bytes = TEST_NUMBER(unsigned char*, block);
  for (size_t i = STAMP_END; i < size - STAMP_END; i += STAMP_END) {
    bytes[i] = pattern_byte(i, seed);
  }
}

/* Looks at the first `size` bytes of a block that was stamped over `stamped` bytes. */
static inline int stamp_kept(const void* block, size_t stamped, size_t size, unsigned seed) {
  if (stamped <= TEST_NUMBER(size_t, 2 * STAMP_END)) {
    return holds(block, 0, size < stamped ? size : stamped, seed);
  }
  if (size < TEST_NUMBER(size_t, STAMP_END)) {
    return holds(block, 0, size, seed);
  }
  if (!holds(block, 0, STAMP_END, seed) || (size >= stamped && !holds(block, stamped - STAMP_END, stamped, seed))) {
    return 0;
  }
  const unsigned char* bytes = TEST_NUMBER(const unsigned char*, block);
  for (size_t i = STAMP_END; i < stamped - STAMP_END && i < size; i += STAMP_END) {
    if (bytes[i] != pattern_byte(i, seed)) {
      return 0;
    }
  }
  return 1;
}

#endif
