// The heap profile of a process, read back: each place that allocates has its share of it. One way of life for each
// case. The places lie in sections of their own, so that frames can be told to be theirs.
#include <pthread.h>
#include <signal.h>
#include <sys/time.h>

#include <initializer_list>
#include <stdexcept>

#include "../support/waiting.h"
#include "page.h"

extern "C" char const __start_place_small[], __stop_place_small[], __start_place_large[], __stop_place_large[];

namespace {

using page::Reader;
using page::Snapshot;

constexpr std::size_t kSmall = 400'000, kSmallBytes = 112, kLarge = 300, kLargeBytes = 327'680;
constexpr double kInterval = 65536;
void** g_small;
void* g_large[kLarge];

__attribute__((noinline, section("place_small"))) void allocate_small(std::size_t from, std::size_t to) {
  for (std::size_t i = from; i < to; ++i) {
    g_small[i] = malloc(kSmallBytes);
    CHECK(g_small[i] != nullptr);
  }
}
__attribute__((noinline, section("place_large"))) void allocate_large() {
  for (void*& block : g_large) {
    block = malloc(kLargeBytes);
    CHECK(block != nullptr);
  }
}

struct Place {
  char const *begin, *end;
  unsigned long samples = 0, bytes = 0, all = 0;
};
struct Dumped {
  Place small{__start_place_small, __stop_place_small};
  Place large{__start_place_large, __stop_place_large};
  unsigned long live = 0, interval = 0;
};

Dumped read_dump(char const* path) {
  Dumped dumped;
  FILE* const file = fopen(path, "r");
  CHECK(file != nullptr);
  static char line[16384];
  CHECK(fgets(line, sizeof line, file) != nullptr);
  CHECK(sscanf(line, "heap profile: %lu: %*u [%*u: %*u] @ heap_v2/%lu", &dumped.live, &dumped.interval) == 2);
  while (fgets(line, sizeof line, file) != nullptr && line[0] == ' ') {
    unsigned long live = 0, bytes = 0, all = 0;
    int at = 0;
    CHECK(sscanf(line, " %lu: %lu [%lu: %*u] @%n", &live, &bytes, &all, &at) == 3 && at != 0);
    for (Place* const place : {&dumped.small, &dumped.large}) {
      bool found = false;
      char* rest = line + at;
      for (char* next = rest;; rest = next) {
        unsigned long const frame = strtoul(rest, &next, 16);
        if (next == rest) break;
        found |= frame >= address_of(place->begin) && frame <= address_of(place->end);
      }
      if (!found) continue;
      place->samples += live;
      place->bytes += bytes;
      place->all += all;
      // Nothing of libstealth stands before the place itself.
      unsigned long const innermost = strtoul(line + at, nullptr, 16);
      CHECK(innermost >= address_of(place->begin) && innermost <= address_of(place->end));
    }
  }
  CHECK(strcmp(line, "\n") == 0);
  CHECK(fgets(line, sizeof line, file) != nullptr && strcmp(line, "MAPPED_LIBRARIES:\n") == 0);
  bool ids = false;
  while (fgets(line, sizeof line, file) != nullptr) ids |= strncmp(line, "build-id: ", 10) == 0;
  CHECK(ids);
  fclose(file);
  return dumped;
}

// Each block is a sample by the same chance: six times the standard deviation is one in 10^8.
void expect_samples(unsigned long samples, double n, double chance) {
  double const expected = n * chance, difference = static_cast<double>(samples) - expected;
  if (difference * difference <= 36 * n * chance * (1 - chance) + 9) return;
  fprintf(stderr, "%lu samples, not about %g\n", samples, expected);
  CHECK(false);
}

constexpr double kSmallChance = 0.0017075;  // 1 - exp(-112 / 65536)
constexpr double kLargeChance = 0.993262;   // 1 - exp(-327680 / 65536)
static_assert(kInterval == 65536);

void expect_shares(Dumped const& dumped) {
  CHECK(dumped.interval == 65536);
  expect_samples(dumped.small.samples, kSmall, kSmallChance);
  CHECK(dumped.small.bytes == dumped.small.samples * kSmallBytes);
  expect_samples(dumped.large.samples, kLarge, kLargeChance);
  CHECK(dumped.large.bytes == dumped.large.samples * kLargeBytes);
}

void make_room() {
  g_small = static_cast<void**>(
      mmap(nullptr, kSmall * sizeof(void*), PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0));
  CHECK(g_small != MAP_FAILED);
}

void path_of(char (&path)[512], char const* name, pid_t process) {
  snprintf(path, sizeof path, "%s/%s.%d", getenv("TEST_FOLDER"), name, static_cast<int>(process));
}

// A forked child leaves its profile behind, which is its own, and its parent reads it: all addresses are the same.
void at_exit() {
  pid_t const child = fork();
  if (child == 0) {
    allocate_small(0, kSmall);
    allocate_large();
    exit(0);
  }
  page::expect_clean_end(child);
  char path[512];
  path_of(path, "heap", child);
  expect_shares(read_dump(path));
}

void* small_part(void* part) {
  std::size_t const first = reinterpret_cast<std::uintptr_t>(part) * (kSmall / 4);
  allocate_small(first, first + kSmall / 4);
  return nullptr;
}
void by_threads() {
  pid_t const child = fork();
  if (child == 0) {
    pthread_t threads[4];
    for (std::uintptr_t i = 0; i < 4; ++i)
      CHECK(pthread_create(&threads[i], nullptr, small_part, reinterpret_cast<void*>(i)) == 0);
    for (pthread_t const thread : threads) CHECK(pthread_join(thread, nullptr) == 0);
    allocate_large();
    exit(0);
  }
  page::expect_clean_end(child);
  char path[512];
  path_of(path, "heap", child);
  expect_shares(read_dump(path));
}

// On and off in a running program; the second time the unwinder is there.
void switched() {
  Reader reader(getpid());
  allocate_small(0, 1000);
  CHECK(reader.wish("profile heap /nowhere") != 0);
  for (int round = 0; round < 3; ++round) {
    if (round == 1) CHECK(reader.wish("set profile=64k") == 0);
    if (round != 1) change("profile", "64k");
    CHECK(reader.comes([](Snapshot const& now) {
      free(malloc(1000));  // whoever comes first has the unwinder loaded
      return now.figures.profile_interval == 65536;
    }));
    allocate_small(0, kSmall);
    allocate_large();
    char wish[64];
    snprintf(wish, sizeof wish, "profile heap dump-%d-%d", getpid(), round);
    CHECK(reader.wish(wish) == 0);
    // Beside the page.
    char path[512];
    CHECK(page::find(getpid(), path));
    snprintf(strrchr(path, '/') + 1, 64, "%s", strrchr(wish, ' ') + 1);
    expect_shares(read_dump(path));
    CHECK(unlink(path) == 0);
    CHECK(reader.comes([](Snapshot const& now) { return now.figures.profile_samples > 500; }));
    if (round != 1) change("profile", "off");
    if (round == 1) CHECK(reader.wish("set profile=off") == 0);
    CHECK(reader.comes([](Snapshot const& now) { return now.figures.profile_interval == 0; }));
    for (std::size_t i = 0; i < kSmall; ++i) free(g_small[i]);
    for (void* const block : g_large) free(block);
    CHECK(reader.comes([](Snapshot const& now) { return now.figures.profile_samples == 0; }));
    allocate_small(0, kSmall);
    CHECK(reader.read().figures.profile_samples == 0);
    for (std::size_t i = 0; i < kSmall; ++i) free(g_small[i]);
  }
}

volatile bool g_over = false;
void handler(int) {
  int const saved = errno;
  void* const p = malloc(100 * KIB);
  CHECK(p != nullptr);
  memset(p, 1, 100 * KIB);
  free(p);
  errno = saved;
}
void throw_once() {
  char* const p = new char[2000];
  try {
    throw std::runtime_error("as long as it does not fit into the object itself");
  } catch (std::exception const& e) {
    CHECK(strlen(e.what()) > 40);
  }
  delete[] p;
}
void* throws(void*) {
  while (!g_over) throw_once();
  return nullptr;
}
void* loads(void*) {
  while (!g_over) {
    void* const library = dlopen("libm.so.6", RTLD_NOW | RTLD_LOCAL);
    void* const other = dlopen("libresolv.so.2", RTLD_NOW | RTLD_LOCAL);
    free(malloc(300));
    if (other != nullptr) dlclose(other);
    if (library != nullptr) dlclose(library);
  }
  return nullptr;
}
void* calls_malloc(void*) {
  std::uint64_t state = 7;
  static thread_local void* blocks[64];
  while (!g_over) {
    void*& block = blocks[random_below(&state, 64)];
    free(block);
    block = malloc(random_below(&state, random_below(&state, 20) == 0 ? 500'000 : 3000));
    CHECK(block != nullptr);
  }
  for (void* const block : blocks) free(block);
  return nullptr;
}

// Everything at once, a sample each few blocks. The signals come to a thread that is always in the slow path.
void storm() {
  sigset_t signals;
  sigemptyset(&signals);
  sigaddset(&signals, SIGALRM);
  CHECK(pthread_sigmask(SIG_BLOCK, &signals, nullptr) == 0);
  pthread_t threads[5];
  void* (*const lives[])(void*) = {throws, loads, calls_malloc, calls_malloc, throws};
  for (int i = 0; i < 5; ++i) CHECK(pthread_create(&threads[i], nullptr, lives[i], nullptr) == 0);
  struct sigaction action = {};
  action.sa_handler = handler;
  action.sa_flags = SA_RESTART;
  CHECK(sigaction(SIGALRM, &action, nullptr) == 0);
  CHECK(pthread_sigmask(SIG_UNBLOCK, &signals, nullptr) == 0);
  itimerval const often = {{0, 2000}, {0, 2000}}, never = {};
  CHECK(setitimer(ITIMER_REAL, &often, nullptr) == 0);
  for (double const until = seconds_now() + 2; seconds_now() < until;) {
    void* p = malloc(400 * KIB);
    p = realloc(p, 900 * KIB);
    CHECK(p != nullptr);
    free(p);
  }
  CHECK(setitimer(ITIMER_REAL, &never, nullptr) == 0);
  for (int i = 0; i < 150; ++i) {
    pid_t const child = fork();
    if (child == 0) {
      signal(SIGALRM, SIG_DFL);
      alarm(60);  // it hangs
      for (std::size_t size = 10; size < 200'000; size *= 2) free(malloc(size));
      throw_once();
      _exit(0);  // exit() hangs where another thread was in dlclose: the C library's own lock
    }
    page::expect_clean_end(child);
  }
  g_over = true;
  for (pthread_t const thread : threads) CHECK(pthread_join(thread, nullptr) == 0);
}

// A copy of libstealth.so without the other library beside it: one line, and the program goes on.
void alone() {
  void* const symbol = dlsym(RTLD_DEFAULT, "stealth_version");
  Dl_info info = {};
  CHECK(dladdr(symbol, &info) != 0);
  char copy[512];
  char command[2048];
  snprintf(copy, sizeof copy, "%s/libstealth.so", getenv("TEST_FOLDER"));
  char own[512] = {};
  CHECK(readlink("/proc/self/exe", own, sizeof own - 1) > 0);
  char const* const folder = getenv("TEST_FOLDER");
  snprintf(command, sizeof command,
           "cp '%s' '%s' && LD_PRELOAD='%s' STEALTH_PROFILE='64k:%s/alone.heap' '%s' works 2>'%s/said'", info.dli_fname,
           copy, copy, folder, own, folder);
  CHECK(system(command) == 0);
  snprintf(copy, sizeof copy, "%s/alone.heap", folder);
  CHECK(access(copy, F_OK) != 0);  // an empty profile would say that nothing is held
  snprintf(copy, sizeof copy, "%s/said", folder);
  FILE* const said = fopen(copy, "r");
  CHECK(said != nullptr);
  char line[2048] = {};
  CHECK(fgets(line, sizeof line, said) != nullptr);
  CHECK(strstr(line, "stealth: STEALTH_PROFILE: cannot load ") == line);
  CHECK(fgets(line, sizeof line, said) == nullptr);
}

void works() {
  allocate_small(0, kSmall);
  allocate_large();
}

struct Life {
  char const* name;
  void (*live)();
};
constexpr Life kLives[] = {{"at-exit", at_exit}, {"threads", by_threads}, {"switched", switched},
                           {"storm", storm},     {"alone", alone},        {"works", works}};

}  // namespace

int main(int argc, char** argv) {
  CHECK(argc == 2);
  require_stealth();
  make_room();
  for (Life const& life : kLives) {
    if (strcmp(life.name, argv[1]) != 0) continue;
    life.live();
    return 0;
  }
  return 2;
}
