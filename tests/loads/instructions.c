// What `tools/bench instructions` counts under callgrind: malloc and free as a program calls them, through its PLT.
//
//   load-instructions CASE COUNT
//
// Makes COUNT pairs of one malloc (or calloc) and one free, a multiple of 1,000. The bench runs it with COUNT and with
// twice as many: what lies between is that of the pairs alone, and start, end and what is made once drop out. Loops,
// calls through the PLT, the choice of a size and a byte written to each block are counted, as a program has them, too:
// 10 instructions in `same`, 18 in `random` (x86-64, g++ 12). Compiled with -fno-builtin, or the compiler would leave
// pairs out.
#include <pthread.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

enum { kSize = 64, kMany = 1000, kLive = 4096 };

static void end(const char* what) {
  fprintf(stderr, "load failed: %s\n", what);
  _exit(3);
}

// The upper bits of a linear congruential generator: two instructions for numbers that are random enough here.
static inline uint64_t draw(uint64_t* state) {
  *state = *state * 6364136223846793005u + 1442695040888963407u;
  return *state >> 32;
}

static inline char* touched(char* block) {
  *block = 1;  // faults where there is none
  return block;
}

// One block, freed at once: the same in every round.
static void same(size_t count) {
  for (size_t i = 0; i < count; ++i) free(touched(malloc(kSize)));
}

// As many blocks as a batch has, then all are freed, first the first.
static void batches(size_t count, size_t batch) {
  static char* blocks[kMany];
  for (size_t done = 0; done < count; done += batch) {
    for (size_t i = 0; i < batch; ++i) blocks[i] = touched(malloc(kSize));
    for (size_t i = 0; i < batch; ++i) free(blocks[i]);
  }
}
static void batches_of_100(size_t count) { batches(count, 100); }
static void batches_of_1000(size_t count) { batches(count, kMany); }

// 4,096 live blocks of 8 to 519 bytes; each pair frees one of them and puts a new one of another size there.
static void mixed(size_t count) {
  static char* live[kLive];
  uint64_t state = 12;
  for (size_t i = 0; i < kLive; ++i) live[i] = touched(malloc(8 + draw(&state) % 512));
  for (size_t i = 0; i < count; ++i) {
    const uint64_t random = draw(&state);
    char** at = &live[random >> 20];  // 12 bits
    free(*at);
    *at = touched(malloc(8 + random % 512));
  }
}

static void zeroed(size_t count) {
  for (size_t i = 0; i < count; ++i) free(touched(calloc(1, 40)));
}

static void pages(size_t count) {
  uint64_t state = 12;
  for (size_t i = 0; i < count; ++i) free(touched(malloc(3072 + draw(&state) % 1024)));
}

static void large(size_t count) {
  for (size_t i = 0; i < count; ++i) free(touched(malloc(100000)));
}

// One thread makes 1,000 blocks, another frees them, in turn. They wait for each other by reading a pipe: a thread has
// the same instructions whether it must wait or not, so that the count does not depend on which of them is quicker.
static char* passed[kMany];
static int full[2], empty[2];

static void tell(int to) {
  if (write(to, "", 1) != 1) end("write to a pipe");
}
static void await(int from) {
  char byte;
  if (read(from, &byte, 1) != 1) end("read from a pipe");
}

static void* freeing(void* count) {
  for (size_t left = *(const size_t*)count; left > 0; left -= kMany) {
    await(full[0]);
    for (size_t i = 0; i < kMany; ++i) free(passed[i]);
    tell(empty[1]);
  }
  return NULL;
}

static void remote(size_t count) {
  pthread_t other;
  if (pipe(full) != 0 || pipe(empty) != 0 || pthread_create(&other, NULL, freeing, &count) != 0) end("no thread");
  for (size_t left = count; left > 0; left -= kMany) {
    for (size_t i = 0; i < kMany; ++i) passed[i] = touched(malloc(kSize));
    tell(full[1]);
    await(empty[0]);
  }
  pthread_join(other, NULL);
}

static const struct {
  const char* name;
  void (*run)(size_t count);
} kCases[] = {{"same", same},
              {"batch-100", batches_of_100},
              {"batch-1000", batches_of_1000},
              {"random", mixed},
              {"calloc-40", zeroed},
              {"3-4k", pages},
              {"100k", large},
              {"remote", remote}};

int main(int argc, char** argv) {
  const size_t count = argc == 3 ? strtoul(argv[2], NULL, 10) : 0;
  if (count == 0 || count % kMany != 0) end("usage: load-instructions CASE COUNT, a multiple of 1,000");
  for (size_t i = 0; i < sizeof kCases / sizeof *kCases; ++i) {
    if (strcmp(argv[1], kCases[i].name) == 0) {
      kCases[i].run(count);
      return 0;
    }
  }
  end("no such case");
}
