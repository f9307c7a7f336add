// Holds memory at known places, and says how much at each:
//
//     sites small|large        then, when a line or the end comes on stdin, frees it, counts what is left, and ends
//
// A place's bytes are the sizes of its blocks as malloc_usable_size tells them: profiles count these.
#include <malloc.h>

#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <thread>
#include <utility>
#include <vector>

#define NOINLINE [[gnu::noinline]]
// After the call: else it would be a jump, and there would be no frame.
#define NOT_THE_LAST_CALL asm volatile("" ::: "memory")

namespace {

using Blocks = std::vector<void*>;

std::size_t random_below(std::size_t end) {
  static std::uint64_t state = 88172645463325252u;
  state ^= state << 13;
  state ^= state >> 7;
  state ^= state << 17;
  return state % end;
}

// Small beside the interval.
NOINLINE void* tiny() {
  void* const p = std::malloc(20 + random_below(100));
  NOT_THE_LAST_CALL;
  return p;
}

// About as large as the interval.
NOINLINE void* pages() {
  void* const p = std::malloc(3000 + random_below(1097));
  NOT_THE_LAST_CALL;
  return p;
}

// These two in turn.
NOINLINE void* one_of_two() {
  void* const p = std::malloc(48);
  NOT_THE_LAST_CALL;
  return p;
}
NOINLINE void* other_of_two() {
  void* const p = std::malloc(96);
  NOT_THE_LAST_CALL;
  return p;
}

[[gnu::always_inline]] inline void* inlined() {
  void* const p = std::malloc(300);
  NOT_THE_LAST_CALL;
  return p;
}
NOINLINE void* has_inlined() { return inlined(); }

NOINLINE void* with_new() {
  void* const p = ::operator new(700);
  NOT_THE_LAST_CALL;
  return p;
}

NOINLINE void* cleared() {
  void* const p = std::calloc(3, 50);
  NOT_THE_LAST_CALL;
  return p;
}

NOINLINE void* aligned() {
  void* p = std::aligned_alloc(256, 512);
  NOT_THE_LAST_CALL;
  return p;
}

// In steps of a few bytes, of which most find room where the block is; back by a few, so that the last one does, too.
NOINLINE void* grown() {
  void* p = nullptr;
  for (std::size_t bytes = 10; bytes < 900; bytes += bytes / 4 + 1) p = std::realloc(p, bytes);
  p = std::realloc(p, malloc_usable_size(p) - 8);
  NOT_THE_LAST_CALL;
  return p;
}

// Most of these are freed again, by another thread.
NOINLINE void* handed_over() {
  void* const p = std::malloc(150);
  NOT_THE_LAST_CALL;
  return p;
}

// From above 32 KiB on.
NOINLINE void* span() {
  void* const p = std::malloc((10 + random_below(20)) * 4096);
  NOT_THE_LAST_CALL;
  return p;
}

NOINLINE void* aligned_span() {
  void* p = nullptr;
  if (posix_memalign(&p, 65536, 65536) != 0) std::abort();
  NOT_THE_LAST_CALL;
  return p;
}

NOINLINE void* grown_span() {
  void* p = std::malloc(40960);
  for (std::size_t kib = 44; kib <= 80; kib += 4) p = std::realloc(p, kib * 1024);
  NOT_THE_LAST_CALL;
  return p;
}

NOINLINE void* shrunk_span() {
  void* p = std::malloc(1 << 20);
  p = std::realloc(p, 65536);
  NOT_THE_LAST_CALL;
  return p;
}

NOINLINE void* shrunk_and_grown_span() {
  void* p = std::malloc(1 << 20);
  p = std::realloc(p, 40960);
  p = std::realloc(p, 81920);
  NOT_THE_LAST_CALL;
  return p;
}

// Blocks much smaller and much larger than the interval, as many bytes of each.
NOINLINE void* mixed() {
  void* const p = std::malloc(random_below(513) == 0 ? 1 << 20 : 2048);
  NOT_THE_LAST_CALL;
  return p;
}

struct Site {
  char const* name;
  void* (*allocate)();
  std::size_t mib;
};
// Ten percent of each is 4.5 times the standard deviation at the interval of the test.
constexpr Site kSmall[] = {{"tiny", tiny, 10},         {"pages", pages, 10},     {"inlined", has_inlined, 10},
                           {"with_new", with_new, 10}, {"cleared", cleared, 10}, {"aligned", aligned, 10},
                           {"grown", grown, 10}};
constexpr Site kLarge[] = {{"span", span, 200},
                           {"aligned_span", aligned_span, 200},
                           {"grown_span", grown_span, 200},
                           {"shrunk_span", shrunk_span, 200},
                           {"shrunk_and_grown_span", shrunk_and_grown_span, 200},
                           {"mixed", mixed, 400}};

std::size_t fill(Blocks& blocks, void* (*allocate)(), std::size_t mib) {
  std::size_t bytes = 0;
  while (bytes < mib << 20) {
    blocks.push_back(allocate());
    bytes += malloc_usable_size(blocks.back());
  }
  return bytes;
}

void hold_in_turn(Blocks& blocks, std::size_t mib) {
  std::size_t one = 0, other = 0;
  while (one < mib << 20) {
    blocks.push_back(one_of_two());
    one += malloc_usable_size(blocks.back());
    blocks.push_back(other_of_two());
    other += malloc_usable_size(blocks.back());
  }
  std::printf("one_of_two %zu\nother_of_two %zu\n", one, other);
}

// What is left of it when another thread has freed three of four.
std::size_t hand_over(Blocks& blocks, std::size_t mib) {
  fill(blocks, handed_over, mib * 4);
  std::size_t bytes = 0;
  std::thread([&] {
    for (std::size_t i = 0; i < blocks.size(); ++i) {
      if (i % 4 == 0) {
        bytes += malloc_usable_size(blocks[i]);
      } else {
        std::free(std::exchange(blocks[i], nullptr));
      }
    }
  }).join();
  return bytes;
}

}  // namespace

int main(int argc, char** argv) {
  bool const small = argc > 1 && std::strcmp(argv[1], "small") == 0;
  Blocks blocks;
  auto const hold = [&](Site const& site) {
    std::printf("%s %zu\n", site.name, fill(blocks, site.allocate, site.mib));
  };
  if (small) {
    for (Site const& site : kSmall) hold(site);
    hold_in_turn(blocks, 10);
    Blocks handed;
    std::printf("handed_over %zu\n", hand_over(handed, 10));
    blocks.insert(blocks.end(), handed.begin(), handed.end());
  } else {
    for (Site const& site : kLarge) hold(site);
  }
  std::printf("\n");
  std::fflush(stdout);
  std::getchar();
  for (void* const block : blocks) std::free(block);
  std::printf("free\n");
  std::fflush(stdout);
  std::getchar();
}
