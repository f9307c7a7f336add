// Prints a dump of itself as the library would: stacks that it really has, with figures that it makes up.
//
//     sampled heap INTERVAL     four stacks, below main
//     sampled stalls
//
// Functions that are not inlined note where they return to; where_am_i() gives the chain of these, the leaf first. So
// the stacks are exactly known, whatever an unwinder would make of them.
#include <link.h>
#include <unistd.h>

#include <cinttypes>
#include <climits>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <string>
#include <vector>

namespace {

struct Callers {
  void* returns_to;
  Callers const* next;
};
using Stack = std::vector<void*>;

bool heap;
std::vector<std::pair<int, Stack>> noted;

}  // namespace

#define NOINLINE [[gnu::noinline]]
#define HERE(next) \
  Callers const here { __builtin_return_address(0), next }
// After the call: else it would be a jump, and there would be no frame.
#define NOT_THE_LAST_CALL asm volatile("" ::: "memory")

NOINLINE void where_am_i(int which, Callers const* callers) {
  Stack stack{__builtin_return_address(0)};
  for (; callers != nullptr; callers = callers->next) stack.push_back(callers->returns_to);
  noted.emplace_back(which, stack);
  NOT_THE_LAST_CALL;
}

namespace shop {

// Two inlined ones, one in the other, in a function that is really there.
[[gnu::always_inline]] inline void Inner(int which, Callers const* callers) {
  where_am_i(which, callers);  // line: inner
  NOT_THE_LAST_CALL;
}

[[gnu::always_inline]] inline void Middle(int which, Callers const* callers) {
  Inner(which, callers);  // line: middle
  NOT_THE_LAST_CALL;
}

template <class Item>
struct Store {
  NOINLINE static void add(int which, Callers const* callers, Item) {
    HERE(callers);
    Middle(which, &here);  // line: add
    NOT_THE_LAST_CALL;
  }
};

namespace {
NOINLINE void hidden(int which, Callers const* callers) {
  HERE(callers);
  where_am_i(which, &here);  // line: hidden
  NOT_THE_LAST_CALL;
}
}  // namespace

struct Amount {
  NOINLINE bool operator<(Callers const* callers) const {
    HERE(callers);
    hidden(2, &here);  // line: less
    NOT_THE_LAST_CALL;
    return true;
  }
};

}  // namespace shop

extern "C" NOINLINE void plain_c(Callers const* callers) {
  HERE(callers);
  shop::Store<int>::add(0, &here, 1);  // line: plain_c
  NOT_THE_LAST_CALL;
}

// It ends with a call that does not come back: the return address is another function's.
extern "C" [[noreturn]] NOINLINE void never_returns(int which, Callers const* callers);

NOINLINE void calls_what_never_returns(Callers const* callers) {
  HERE(callers);
  never_returns(3, &here);  // line: last_call
}

namespace {

NOINLINE void recursive(int depth, Callers const* callers) {
  HERE(callers);
  if (depth > 0)
    recursive(depth - 1, &here);
  else
    shop::hidden(4, &here);
  NOT_THE_LAST_CALL;
}

int print_build_id(dl_phdr_info* info, size_t, void* program) {
  for (int i = 0; i < info->dlpi_phnum; ++i) {
    auto const& header = info->dlpi_phdr[i];
    if (header.p_type != PT_NOTE) continue;
    auto const* at = reinterpret_cast<char const*>(info->dlpi_addr + header.p_vaddr);
    auto const* const end = at + header.p_memsz;
    while (at + sizeof(ElfW(Nhdr)) <= end) {
      auto const* const note = reinterpret_cast<ElfW(Nhdr) const*>(at);
      auto const* const name = at + sizeof *note;
      auto const* const bits = name + (note->n_namesz + 3) / 4 * 4;
      if (note->n_type == NT_GNU_BUILD_ID && note->n_namesz == 4 && std::memcmp(name, "GNU", 4) == 0) {
        std::printf("build-id: ");
        for (unsigned b = 0; b < note->n_descsz; ++b) std::printf("%02x", static_cast<unsigned char>(bits[b]));
        // As the mappings have it, without symbolic links.
        char path[PATH_MAX];
        if (realpath(*info->dlpi_name != '\0' ? info->dlpi_name : static_cast<char const*>(program), path) != nullptr)
          std::printf(" %s\n", path);
        else
          std::printf(" %s\n", info->dlpi_name);
        return 0;
      }
      at = bits + (note->n_descsz + 3) / 4 * 4;
    }
  }
  return 0;
}

void print_addresses(Stack const& stack) {
  for (auto* const address : stack) std::printf(" %p", address);
  std::printf("\n");
}

// Figures: objects and bytes live, then ever; for stalls nanoseconds and count.
void print_heap(char const* interval) {
  static constexpr std::uint64_t kFigures[5][4] = {{100, 100 * 4096, 300, 300 * 4096},
                                                   {7, 7 * 16, 7, 7 * 16},
                                                   {3, 3 * (64 << 20), 3, 3 * (64 << 20)},
                                                   {200, 200 * 300'000, 200, 200 * 300'000},
                                                   {0, 0, 50, 50 * 100}};
  std::uint64_t sums[4] = {};
  for (auto const& [which, stack] : noted)
    for (int i = 0; i < 4; ++i) sums[i] += kFigures[which][i];
  std::printf("heap profile: %" PRIu64 ": %" PRIu64 " [%" PRIu64 ": %" PRIu64 "] @ heap_v2/%s\n", sums[0], sums[1],
              sums[2], sums[3], interval);
  for (auto const& [which, stack] : noted) {
    auto const& f = kFigures[which];
    std::printf("%" PRIu64 ": %" PRIu64 " [%" PRIu64 ": %" PRIu64 "] @", f[0], f[1], f[2], f[3]);
    print_addresses(stack);
  }
}

void print_stalls() {
  std::printf("--- contention:\ncycles/second = 1000000000\nsampling period = 1\n");
  for (auto const& [which, stack] : noted) {
    std::printf("%d %d @", (which + 1) * 250'000'000, which + 1);
    print_addresses(stack);
  }
}

[[noreturn]] void print_all(char const* interval) {
  if (heap)
    print_heap(interval);
  else
    print_stalls();
  std::printf("\nMAPPED_LIBRARIES:\n");
  std::FILE* const maps = std::fopen("/proc/self/maps", "r");
  char line[8192];
  while (std::fgets(line, sizeof line, maps) != nullptr) std::fputs(line, stdout);
  std::fclose(maps);
  char path[4096] = {};
  if (readlink("/proc/self/exe", path, sizeof path - 1) < 0) std::exit(1);
  dl_iterate_phdr(print_build_id, path);
  std::fflush(stdout);
  std::exit(0);
}

char const* interval = "524288";

}  // namespace

void never_returns(int which, Callers const* callers) {
  HERE(callers);
  where_am_i(which, &here);
  print_all(interval);
}

int main(int argc, char** argv) {
  heap = argc > 1 && std::strcmp(argv[1], "heap") == 0;
  if (argc > 2) interval = argv[2];
  plain_c(nullptr);
  shop::Store<std::string>::add(1, nullptr, "text");
  static_cast<void>(shop::Amount() < nullptr);
  recursive(3, nullptr);
  calls_what_never_returns(nullptr);
}
