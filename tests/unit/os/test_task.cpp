// Threads that the C library knows nothing of. Not under a sanitizer, whose own record of a thread such a one lacks.
#include <sys/syscall.h>
#include <unistd.h>

#include <atomic>
#include <cerrno>
#include <csignal>

#include <gtest/gtest.h>

#include "os/os.hpp"
#include "os/task.hpp"

extern "C" char __libc_single_threaded;

namespace {

using namespace stealth;

thread_local int t_own __attribute__((tls_model("initial-exec"))) = 7;
constexpr std::uint64_t kSecond = 1'000'000'000;

std::atomic<std::uint32_t> g_go{0};
std::atomic<int> g_thread{0}, g_own{0}, g_errno{0};
std::atomic<std::uint64_t> g_mask{0};

std::uint32_t const* word() { return reinterpret_cast<std::uint32_t const*>(&g_go); }

void body() noexcept {
  g_thread = os::thread_id();
  g_own = t_own;
  t_own = 9;
  errno = 11;
  os::sys(SYS_close, -1);  // which keeps errno, by way of it
  g_errno = errno;
  std::uint64_t mask = 0;
  os::sys(SYS_rt_sigprocmask, SIG_BLOCK, 0, static_cast<long>(reinterpret_cast<std::uintptr_t>(&mask)), sizeof mask);
  g_mask = mask;
  while (g_go == 0) os::futex_wait(word(), 0, kSecond);
}

TEST(Task, RunsBesideTheProgramAndEnds) {
  bool const single = __libc_single_threaded != 0;
  os::Task task;
  for (int round = 0; round < 200; ++round) {
    g_go = 0;
    g_thread = 0;
    g_mask = 0;
    t_own = 8;
    errno = 5;
    EXPECT_FALSE(task.is_there());
    ASSERT_TRUE(task.start(body, &t_own, sizeof t_own));
    EXPECT_TRUE(task.is_there());
    EXPECT_FALSE(task.start(body, &t_own, sizeof t_own)) << "one at a time";
    while (g_mask == 0) os::yield();
    EXPECT_NE(g_thread, os::thread_id());
    EXPECT_EQ(g_own, 0) << "zeroed, and not ours";
    EXPECT_EQ(g_errno, 11);
    EXPECT_EQ(t_own, 8);
    EXPECT_EQ(errno, 5);
    EXPECT_EQ(g_mask | (1ull << (SIGKILL - 1)) | (1ull << (SIGSTOP - 1)), ~0ull);
    EXPECT_FALSE(task.wait_for_end(1'000'000)) << "it waits for us";
    g_go = 1;
    os::futex_wake(word(), 1);
    // Whoever comes only when it has left its stack waits for the rest all the same.
    while (round % 2 == 1 && task.is_there()) os::yield();
    EXPECT_TRUE(task.wait_for_end(60 * kSecond));
    EXPECT_FALSE(os::thread_exists(g_thread));
  }
  EXPECT_EQ(__libc_single_threaded != 0, single);
}

TEST(Task, NoneToWaitFor) {
  os::Task task;
  EXPECT_TRUE(task.wait_for_end(0));
}

}  // namespace
