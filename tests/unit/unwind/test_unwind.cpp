// Stacks as they are told by what is known of frames, beside those that libunwind tells.
#define UNW_LOCAL_ONLY
#include <alloca.h>
#include <libunwind.h>
#include <pthread.h>
#include <ucontext.h>

#include <atomic>
#include <csignal>
#include <cstdint>
#include <random>
#include <thread>
#include <vector>

#include <gtest/gtest.h>

extern "C" int stealth_unwind(void** into, int most) noexcept;

#define JOIN_AGAIN(a, b) a##b
#define JOIN(a, b)       JOIN_AGAIN(a, b)
#define REAL_STEP        JOIN(__real_, UNWIND_STEP)
#define WRAPPED_STEP     JOIN(__wrap_, UNWIND_STEP)
extern "C" int REAL_STEP(unw_cursor_t* cursor);
static std::atomic<long> g_steps{0};
extern "C" int WRAPPED_STEP(unw_cursor_t* cursor) {
  ++g_steps;
  return REAL_STEP(cursor);
}

namespace {

constexpr int kMost = 64;
std::atomic<int> g_compared{0}, g_wrong{0};

// Both ways, from the same place: but for the call itself they must agree.
__attribute__((noinline)) void compare() {
  void* ours[kMost];
  void* theirs[kMost];
  int const depth = stealth_unwind(ours, kMost);
  int const expected = unw_backtrace(theirs, kMost);
  bool same = depth == expected && depth > 1;
  for (int i = 1; same && i < depth; ++i) same = ours[i] == theirs[i];
  ++g_compared;
  if (!same) ++g_wrong;
  asm volatile("");
}

using Path = std::minstd_rand;
void go_on(Path& path, int depth);

// Frames of different kinds; none is a tail call.
#define FRAME __attribute__((noinline)) void
FRAME small(Path& path, int depth) {
  go_on(path, depth);
  asm volatile("");
}
FRAME large(Path& path, int depth) {
  char room[3000];
  asm volatile("" : : "r"(room) : "memory");
  go_on(path, depth);
  asm volatile("" : : "r"(room) : "memory");
}
FRAME computed(Path& path, int depth) {
  char* const room = static_cast<char*>(alloca(16 + path() % 4096));
  asm volatile("" : : "r"(room) : "memory");
  go_on(path, depth);
  asm volatile("" : : "r"(room) : "memory");
}
FRAME aligned(Path& path, int depth) {
  alignas(512) char room[64];
  asm volatile("" : : "r"(room) : "memory");
  go_on(path, depth);
  asm volatile("" : : "r"(room) : "memory");
}
FRAME many_registers(Path& path, int depth) {
  auto const a = path(), b = path(), c = path(), d = path(), e = path(), f = path();
  go_on(path, depth);
  asm volatile("" : : "r"(a), "r"(b), "r"(c), "r"(d), "r"(e), "r"(f) : "memory");
}

__attribute__((noinline)) void go_on(Path& path, int depth) {
  if (depth == 0) return compare();
  switch (path() % 8) {
    case 0:
      computed(path, depth - 1);
      break;
    case 1:
      aligned(path, depth - 1);
      break;
    case 2:
      large(path, depth - 1);
      break;
    case 3:
    case 4:
      many_registers(path, depth - 1);
      break;
    default:
      small(path, depth - 1);
      break;
  }
  asm volatile("");
}

void compare_many(unsigned seed, int count) {
  Path path(seed);
  for (int i = 0; i < count; ++i) go_on(path, static_cast<int>(path() % 20));
}

class Unwinding : public testing::Test {
 protected:
  void SetUp() override { g_compared = g_wrong = 0; }
  void TearDown() override {
    EXPECT_GT(g_compared, 0);
    EXPECT_EQ(g_wrong, 0);
  }
};

TEST_F(Unwinding, AsLibunwindDoes) { compare_many(1, 5'000); }

TEST_F(Unwinding, InThreads) {
  std::vector<std::thread> threads;
  for (unsigned i = 0; i < 8; ++i) threads.emplace_back(compare_many, i, 1'000);
  for (std::thread& thread : threads) thread.join();
}

// What one thread has taught serves the others, however many there are.
FRAME straight(int depth) {
  if (depth == 0) return compare();
  straight(depth - 1);
  asm volatile("");
}
TEST_F(Unwinding, KnownFramesNeedNoSteps) {
  auto const in_thread = [] { std::thread([] { straight(30); }).join(); };
  for (int i = 0; i < 8; ++i) in_thread();
  long const before = g_steps;
  for (int i = 0; i < 200; ++i) in_thread();
  // A thread's stack may lie where none was before.
  EXPECT_LT(g_steps - before, 10 * 40);
}

TEST_F(Unwinding, DeepStacksAreCut) {
  for (int i = 0; i < 20; ++i) straight(50 + i);
  void* frames[7];
  EXPECT_EQ(stealth_unwind(frames, 7), 7);
  EXPECT_EQ(stealth_unwind(frames, 1), 1);
}

TEST_F(Unwinding, WithinAHandler) {
  struct sigaction action = {}, before = {};
  action.sa_handler = [](int) { straight(5); };
  sigaction(SIGUSR1, &action, &before);
  for (int i = 0; i < 50; ++i) raise(SIGUSR1);
  sigaction(SIGUSR1, &before, nullptr);
}

// Stacks that the C library has not made, which come and go.
ucontext_t g_main;
void run_on(std::vector<char>& stack, void (*body)()) {
  ucontext_t own;
  getcontext(&own);
  own.uc_stack = {stack.data(), 0, stack.size()};
  own.uc_link = &g_main;
  makecontext(&own, body, 0);
  swapcontext(&g_main, &own);
}
TEST_F(Unwinding, OnStacksOfTheProgramsOwn) {
  for (int i = 0; i < 50; ++i) {
    std::vector<char> stack(256 * 1024);
    run_on(stack, [] { straight(10); });
    run_on(stack, [] { compare_many(7, 20); });
  }
}

}  // namespace
