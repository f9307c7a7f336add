// Processes told apart, and whether they live; served /proc files for what cannot be had on demand.
#include <gtest/gtest.h>
#include <pthread.h>
#include <sched.h>
#include <signal.h>
#include <sys/mman.h>
#include <sys/personality.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cerrno>
#include <cstring>
#include <string>

#include "fake_sys.hpp"
#include "os/os.hpp"
#include "os/process_mark.hpp"
#include "support.hpp"

namespace {

namespace os = stealth::os;
namespace fake = stealth::fake;
using os::Life;
using os::ProcessMark;

// A child that sleeps until it is killed.
class Child {
 public:
  Child() : id_(fork()) {
    if (id_ == 0) {
      while (true) pause();
    }
  }
  ~Child() {
    kill();
    reap();
  }
  Child(Child const&) = delete;
  Child& operator=(Child const&) = delete;
  [[nodiscard]] int id() const { return id_; }
  void kill() const { ::kill(id_, SIGKILL); }
  void reap() {
    if (reaped_) return;
    waitpid(id_, nullptr, 0);
    reaped_ = true;
  }

 private:
  pid_t id_;
  bool reaped_ = false;
};

std::string stat_line(int number, std::string const& name, char state, int threads, std::uint64_t start,
                      std::uint64_t stack) {
  return std::to_string(number) + " (" + name + ") " + state + " 1 2 3 0 -1 4194304 98 0 0 0 0 0 0 0 20 0 " +
         std::to_string(threads) + " 0 " + std::to_string(start) + " 3133440 380 18446744073709551615 1 1 " +
         std::to_string(stack) + " 0 0 0 0\n";
}

// The start that the kernel gives for a process, read in another way than the product's.
std::uint64_t start_of(int number) {
  char text[1024] = {};
  EXPECT_GT(os::read_file(("/proc/" + std::to_string(number) + "/stat").c_str(), text, sizeof text - 1), 0);
  unsigned long long start = 0;
  char const* const rest = std::strrchr(text, ')');
  EXPECT_EQ(
      std::sscanf(rest, ") %*c %*s %*s %*s %*s %*s %*s %*s %*s %*s %*s %*s %*s %*s %*s %*s %*s %*s %*s %llu", &start),
      1);
  return start;
}

class Process : public testing::Test {
 protected:
  fake::Fresh fresh_;
  ProcessMark own_ = ProcessMark::own();
};

TEST_F(Process, OneWord) {
  ProcessMark const mark(4'194'303, 123'456'789'012, 77);
  EXPECT_EQ(mark.number(), 4'194'303);
  EXPECT_EQ(mark.start(), 123'456'789'012u % (std::uint64_t{1} << 36));
  EXPECT_NE(mark.image(), 0u);
  EXPECT_EQ(ProcessMark(mark.word()), mark);
  EXPECT_EQ(ProcessMark(5, 6, 0).image(), 0u);
  EXPECT_TRUE(ProcessMark().is_nobody());
  EXPECT_FALSE(mark.is_nobody());
  EXPECT_TRUE(ProcessMark(5, 6, 7).same_process(ProcessMark(5, 6, 8)));
  EXPECT_FALSE(ProcessMark(5, 6, 7).same_process(ProcessMark(5, 7, 7)));
}

TEST_F(Process, Own) {
  EXPECT_EQ(own_.number(), getpid());
  EXPECT_EQ(own_.start(), start_of(getpid()));
  EXPECT_NE(own_.image(), 0u);
  EXPECT_EQ(own_, ProcessMark::own());
  EXPECT_EQ(own_.life(own_), Life::runs);
}

TEST_F(Process, ChildrenComeAndGo) {
  Child child;
  ProcessMark const mark(child.id(), start_of(child.id()), 0);
  EXPECT_EQ(mark.life(own_), Life::runs);
  EXPECT_EQ(ProcessMark(child.id(), mark.start() + 1, 0).life(own_), Life::ended) << "the number was given anew";
  EXPECT_EQ(ProcessMark(child.id(), mark.start(), own_.image() + 1).life(own_), Life::ended) << "it has executed";
  EXPECT_EQ(ProcessMark(child.id(), 0, 0).life(own_), Life::runs);
  child.kill();
  EXPECT_TRUE(stealth::test::soon([&] { return mark.life(own_) == Life::ended; })) << "a zombie";
  EXPECT_EQ(ProcessMark(child.id(), 0, 0).life(own_), Life::ended);
  child.reap();
  EXPECT_EQ(mark.life(own_), Life::ended);
}

TEST_F(Process, NobodyHasEnded) { EXPECT_EQ(ProcessMark().life(own_), Life::ended); }

TEST_F(Process, AForkedChildIsAnother) {
  int pipes[2];
  ASSERT_EQ(pipe(pipes), 0);
  pid_t const child = fork();
  if (child == 0) {
    std::uint64_t const word = ProcessMark::own().word();
    _exit(write(pipes[1], &word, sizeof word) == sizeof word ? 0 : 1);
  }
  std::uint64_t word = 0;
  ASSERT_EQ(read(pipes[0], &word, sizeof word), static_cast<ssize_t>(sizeof word));
  waitpid(child, nullptr, 0);
  EXPECT_EQ(ProcessMark(word).number(), child);
  EXPECT_EQ(ProcessMark(word).image(), own_.image()) << "a fork changes no image";
  EXPECT_FALSE(ProcessMark(word).same_process(own_));
  close(pipes[0]);
  close(pipes[1]);
}

// The first thread of a process may end before the others: it is a zombie then, and the process lives.
TEST_F(Process, AFirstThreadThatHasEnded) {
  int pipes[2];
  ASSERT_EQ(pipe(pipes), 0);
  pid_t const child = fork();
  if (child == 0) {
    pthread_t thread;
    pthread_create(
        &thread, nullptr,
        [](void*) -> void* {
          while (true) pause();
        },
        nullptr);
    std::uint64_t const word = ProcessMark::own().word();
    if (write(pipes[1], &word, sizeof word) != sizeof word) _exit(1);
    syscall(SYS_exit, 0);
  }
  std::uint64_t word = 0;
  ASSERT_EQ(read(pipes[0], &word, sizeof word), static_cast<ssize_t>(sizeof word));
  std::string const path = "/proc/" + std::to_string(child) + "/stat";
  EXPECT_TRUE(stealth::test::soon([&] {
    char text[512] = {};
    EXPECT_GT(os::read_file(path.c_str(), text, sizeof text - 1), 0);
    return std::string(text).find(") Z ") != std::string::npos;
  }));
  EXPECT_EQ(ProcessMark(word).life(own_), Life::runs);
  kill(child, SIGKILL);
  EXPECT_TRUE(stealth::test::soon([&] { return ProcessMark(word).life(own_) == Life::ended; }));
  waitpid(child, nullptr, 0);
  close(pipes[0]);
  close(pipes[1]);
}

// With randomised addresses an exec is seen, but for one in 63.
TEST_F(Process, AnExecChangesTheImage) {
  int seen = 0;
  for (int i = 0; i < 4; ++i) {
    pid_t const child = fork();
    if (child == 0) {
      execl("/bin/sleep", "sleep", "600", nullptr);
      _exit(1);
    }
    std::string const path = "/proc/" + std::to_string(child) + "/comm";
    EXPECT_TRUE(stealth::test::soon([&] {
      char text[32] = {};
      return os::read_file(path.c_str(), text, sizeof text - 1) > 0 && std::string(text) == "sleep\n";
    }));
    ProcessMark const any_image(child, start_of(child), 0);
    ProcessMark const as_forked(any_image.word() | own_.image() << 58);
    EXPECT_EQ(as_forked.image(), own_.image());
    EXPECT_EQ(any_image.life(own_), Life::runs) << "the process itself goes on";
    if (as_forked.life(own_) == Life::ended) ++seen;
    kill(child, SIGKILL);
    waitpid(child, nullptr, 0);
  }
  char randomises[8] = {};
  os::read_file("/proc/sys/kernel/randomize_va_space", randomises, sizeof randomises);
  auto const persona = static_cast<int>(syscall(SYS_personality, 0xFFFFFFFF));
  if (randomises[0] != '0' && (persona & ADDR_NO_RANDOMIZE) == 0) {
    EXPECT_GE(seen, 1);
  }
}

TEST_F(Process, Stat) {
  fake::serve("/proc/77/stat", stat_line(77, "a name", 'S', 1, 500, 1000));
  ProcessMark const of_77(77, 500, 0);
  EXPECT_EQ(of_77.life(own_), Life::runs);
  for (std::string const name : {"", ")", "a) Z 1", ") Z (", "((", "very (strange) Z (name"}) {
    fake::serve("/proc/77/stat", stat_line(77, name, 'D', 1, 500, 1000));
    EXPECT_EQ(of_77.life(own_), Life::runs) << name;
    fake::serve("/proc/77/stat", stat_line(77, name, 'Z', 1, 500, 0));
    EXPECT_EQ(of_77.life(own_), Life::ended) << name;
  }
  fake::serve("/proc/77/stat", stat_line(77, "x", 'X', 1, 500, 0));
  EXPECT_EQ(of_77.life(own_), Life::ended);
  fake::serve("/proc/77/stat", stat_line(77, "x", 'Z', 2, 500, 0));
  EXPECT_EQ(of_77.life(own_), Life::runs);
  fake::serve("/proc/77/stat", stat_line(77, "x", 'S', 1, 501, 0));
  EXPECT_EQ(of_77.life(own_), Life::ended);
  // A stack that may not be seen says nothing.
  fake::serve("/proc/77/stat", stat_line(77, "x", 'S', 1, 500, 0));
  EXPECT_EQ(ProcessMark(77, 500, 5).life(own_), Life::runs);
  EXPECT_EQ(fake::open_files(), 0u);
}

TEST_F(Process, WithoutAnAnswerNothingIsKnown) {
  fake::answer(SYS_kill, 0);
  ProcessMark const of_77(77, 500, 0);
  for (std::string const text : {"", "77", "77 (x", "77 (x) ", "77 (x) S", "77 (x) S 1 2 3", "junk"}) {
    fake::serve("/proc/77/stat", text);
    EXPECT_EQ(of_77.life(own_), Life::unknown) << text;
  }
  fake::serve("/proc/77/stat", stat_line(77, "x", 'Z', 1, 500, 0));
  fake::fail(SYS_openat, 1, EMFILE);
  EXPECT_EQ(of_77.life(own_), Life::unknown);
  fake::fail(SYS_read, 1, EIO);
  EXPECT_EQ(of_77.life(own_), Life::unknown);
  fake::answer(SYS_kill, -EPERM);
  fake::fail(SYS_openat, 1, ENOENT);
  EXPECT_EQ(of_77.life(own_), Life::unknown);
  fake::answer(SYS_kill, -ESRCH);
  fake::fail(SYS_openat, 1, ENOENT);
  EXPECT_EQ(of_77.life(own_), Life::ended);
}

// The /proc of another PID namespace numbers processes differently: nothing it says is about ours.
TEST_F(Process, AForeignProc) {
  fake::serve("/proc/self/stat", stat_line(getpid() + 1, "x", 'R', 1, 500, 1000));
  ProcessMark const blind = ProcessMark::own();
  EXPECT_EQ(blind.number(), getpid());
  EXPECT_EQ(blind.start(), 0u);
  fake::serve("/proc/77/stat", stat_line(77, "x", 'Z', 1, 500, 0));
  fake::answer(SYS_kill, 0);
  EXPECT_EQ(ProcessMark(77, 500, 0).life(blind), Life::unknown);
  fake::answer(SYS_kill, -ESRCH);
  EXPECT_EQ(ProcessMark(77, 500, 0).life(blind), Life::ended);
  fake::fail(SYS_openat, 1, ENOENT);
  EXPECT_EQ(ProcessMark::own(), blind);
}

TEST_F(Process, World) {
  os::ProcessWorld const world = os::ProcessWorld::own();
  EXPECT_EQ(world, os::ProcessWorld::own());
  char text[64] = {};
  ASSERT_GT(readlink("/proc/self/ns/pid", text, sizeof text - 1), 0);
  EXPECT_EQ("pid:[" + std::to_string(world.pid_namespace) + "]", text);
  fake::serve("/proc/sys/kernel/random/boot_id", "01234567-89ab-cdef-0123-456789abcde3\n");
  os::ProcessWorld const one = os::ProcessWorld::own();
  fake::serve("/proc/sys/kernel/random/boot_id", "01234567-89ab-cdef-0123-456789abcde4\n");
  EXPECT_NE(one.boot, os::ProcessWorld::own().boot);
  fake::serve("/proc/sys/kernel/random/boot_id", "");
  EXPECT_EQ(os::ProcessWorld::own().boot, 0u);
  fake::fail(SYS_readlinkat, 1, EACCES, 2);
  EXPECT_EQ(os::ProcessWorld::own().pid_namespace, 0u);
}

TEST_F(Process, Users) {
  EXPECT_EQ(os::user_id(), geteuid());
  EXPECT_EQ(os::real_user_id(), getuid());
}

// A private futex would never be woken by another process.
TEST_F(Process, FutexesAcrossProcesses) {
  void* const memory = mmap(nullptr, 4096, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
  ASSERT_NE(memory, MAP_FAILED);
  auto* const word = static_cast<std::uint32_t*>(memory);
  auto const value = [&] { return __atomic_load_n(word, __ATOMIC_SEQ_CST); };
  pid_t const child = fork();
  if (child == 0) {
    __atomic_store_n(word + 1, 1u, __ATOMIC_SEQ_CST);
    std::uint64_t const begin = os::monotonic_ns();
    while (value() == 0) os::shared_futex_wait(word, 0, 200'000'000'000);
    _exit(os::monotonic_ns() - begin < 100'000'000'000 ? 0 : 1);
  }
  ASSERT_TRUE(stealth::test::soon([&] { return __atomic_load_n(word + 1, __ATOMIC_SEQ_CST) == 1; }));
  usleep(20'000);
  __atomic_store_n(word, 1u, __ATOMIC_SEQ_CST);
  os::shared_futex_wake(word, 1);
  int status = -1;
  waitpid(child, &status, 0);
  EXPECT_EQ(status, 0);
  os::shared_futex_wait(word, 0, 60'000'000'000);  // another value: returns at once
  os::shared_futex_wait(word, 1, 1'000'000);
  munmap(memory, 4096);
}

}  // namespace
