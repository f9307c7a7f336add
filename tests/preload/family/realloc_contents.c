/* realloc keeps the contents across every class border and through large growth and shrinking. */
#include "../support/test.h"

/* One block from size to size; all bytes that both have must survive. */
static void* resize(void* block, size_t from, size_t to, unsigned seed) {
  unsigned char* moved = realloc(block, to);
  CHECK(moved != NULL && aligned_to(moved, 16) && malloc_usable_size(moved) >= to);
  CHECK(holds(moved, 0, from < to ? from : to, seed));
  if (from < to) {
    fill(moved, from, to, seed);
  }
  return moved;
}

static void up_and_down(size_t from, size_t to) {
  void* block = malloc(from);
  CHECK(block != NULL);
  fill(block, 0, from, 7);
  block = resize(block, from, to, 7);
  block = resize(block, to, from, 7);
  free(block);
}

/* Step by step through the small sizes: no border is missed, wherever the borders are. */
static void byte_by_byte(void) {
  void* block = malloc(1);
  fill(block, 0, 1, 3);
  for (size_t size = 1; size < 3000; ++size) {
    block = resize(block, size, size + 1, 3);
  }
  for (size_t size = 3000; size > 1; --size) {
    block = resize(block, size, size - 1, 3);
  }
  free(block);
}

/* Growth to 64 MiB with something in the way, so that it cannot always stay in place; looked at by samples. */
static void growing_buffer(void) {
  void* obstacles[64] = {0};
  size_t size = 100;
  unsigned char* buffer = malloc(size);
  for (int step = 0; size < 64 * MIB; ++step) {
    const size_t larger = size + size / 3 + 1;
    buffer[0] = 1;
    buffer[size / 2] = 2;
    buffer[size - 1] = 3;
    buffer = realloc(buffer, larger);
    CHECK(buffer != NULL && buffer[0] == 1 && buffer[size / 2] == 2 && buffer[size - 1] == 3);
    free(obstacles[step % 64]);
    obstacles[step % 64] = malloc(larger / 2);
    size = larger;
  }
  for (; size > 1000; size /= 3) {
    buffer[size / 3 - 1] = 9;
    buffer = realloc(buffer, size / 3);
    CHECK(buffer != NULL && buffer[0] == 1 && buffer[size / 3 - 1] == 9);
  }
  free(buffer);
  for (int i = 0; i < 64; ++i) {
    free(obstacles[i]);
  }
}

int main(void) {
  uint64_t state = 42;
  require_stealth();
  byte_by_byte();
  for (size_t border = 16; border <= 4 * MIB; border *= 2) {
    for (size_t eighth = 8; eighth < 16; ++eighth) {
      const size_t size = border / 8 * eighth;
      up_and_down(size - 1, size + 1);
      up_and_down(size, size + border);
      up_and_down(size / 16 + 1, size);
    }
  }
  for (int i = 0; i < 300; ++i) {
    up_and_down(1 + random_below(&state, 1U << random_below(&state, 22)),
                1 + random_below(&state, 1U << random_below(&state, 22)));
  }
  growing_buffer();
  return 0;
}
