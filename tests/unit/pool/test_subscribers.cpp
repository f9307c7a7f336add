// Callbacks when memory is short: which thread they come on, how often, and that they end when they are told to.
#include <gtest/gtest.h>
#include <pthread.h>
#include <sys/wait.h>
#include <unistd.h>

#include <csignal>
#include <filesystem>
#include <fstream>
#include <functional>
#include <string>

#include "capacity/budget.hpp"
#include "stealth/stealth.h"
#include "support.hpp"

namespace {

using namespace stealth;
using test::soon;
using Callback = std::function<void(enum stealth_pressure)>;

void call(enum stealth_pressure level, void* context) { (*static_cast<Callback*>(context))(level); }

std::uint64_t subscribe(Callback& callback) {
  std::uint64_t handle = 0;
  EXPECT_EQ(stealth_on_pressure(call, &callback, &handle), STEALTH_OK);
  EXPECT_NE(handle, 0u);
  return handle;
}

void raise_level(PressureLevel level) { g_budget.pressure().raise(level); }

// The kernel shows a thread for a moment longer than pthread_join() waits for it.
int helpers() {
  int count = 0;
  for (auto const& task : std::filesystem::directory_iterator("/proc/self/task")) {
    std::string name;
    std::getline(std::ifstream(task.path() / "comm"), name);
    count += name == "stealth" ? 1 : 0;
  }
  return count;
}

// Until the limit of the rate cannot be what keeps a callback away.
void let_the_rate_recover() { std::this_thread::sleep_for(std::chrono::milliseconds(120)); }

class Subscribers : public testing::Test {
 protected:
  void SetUp() override { let_the_rate_recover(); }
  void TearDown() override {
    EXPECT_TRUE(soon([] { return helpers() == 0; }));
  }
};

TEST_F(Subscribers, EachLevelArrives) {
  std::atomic<int> counts[3] = {};
  Callback callback = [&](enum stealth_pressure level) { ++counts[level]; };
  std::uint64_t const handle = subscribe(callback);
  raise_level(PressureLevel::exhausted);
  EXPECT_TRUE(soon([&] { return counts[STEALTH_PRESSURE_EXHAUSTED] == 1; }));
  raise_level(PressureLevel::soft);
  raise_level(PressureLevel::capacity);
  EXPECT_TRUE(soon([&] { return counts[STEALTH_PRESSURE_SOFT] == 1 && counts[STEALTH_PRESSURE_CAPACITY] == 1; }));
  EXPECT_EQ(counts[STEALTH_PRESSURE_EXHAUSTED], 1);
  EXPECT_EQ(stealth_pressure_end(handle), STEALTH_OK);
}

TEST_F(Subscribers, OnAThreadOfOurOwn) {
  std::atomic<bool> done{false};
  Callback callback = [&](enum stealth_pressure) {
    char name[16];
    EXPECT_EQ(pthread_getname_np(pthread_self(), name, sizeof name), 0);
    EXPECT_STREQ(name, "stealth");
    sigset_t blocked;
    EXPECT_EQ(pthread_sigmask(SIG_SETMASK, nullptr, &blocked), 0);
    for (int const signal : {SIGTERM, SIGINT, SIGALRM, SIGCHLD, SIGUSR1, SIGPROF})
      EXPECT_EQ(sigismember(&blocked, signal), 1) << signal;
    pthread_attr_t attributes;
    std::size_t stack = 0;
    EXPECT_EQ(pthread_getattr_np(pthread_self(), &attributes), 0);
    EXPECT_EQ(pthread_attr_getstacksize(&attributes, &stack), 0);
    EXPECT_LE(stack, 1 * kMiB);
    pthread_attr_destroy(&attributes);
    done = true;
  };
  sigset_t before, after;
  pthread_sigmask(SIG_SETMASK, nullptr, &before);
  std::uint64_t const handle = subscribe(callback);
  pthread_sigmask(SIG_SETMASK, nullptr, &after);
  for (int signal = 1; signal < 32; ++signal)
    EXPECT_EQ(sigismember(&before, signal), sigismember(&after, signal)) << "the caller's mask is as it was";
  EXPECT_TRUE(soon([] { return helpers() == 1; }));
  raise_level(PressureLevel::capacity);
  EXPECT_TRUE(soon([&] { return done.load(); }));
  EXPECT_EQ(stealth_pressure_end(handle), STEALTH_OK);
}

TEST_F(Subscribers, OneHelperForAll) {
  std::atomic<int> first{0}, second{0};
  Callback one = [&](enum stealth_pressure) { ++first; };
  Callback two = [&](enum stealth_pressure) { ++second; };
  std::uint64_t const a = subscribe(one);
  std::uint64_t const b = subscribe(two);
  EXPECT_NE(a, b);
  EXPECT_TRUE(soon([] { return helpers() == 1; }));
  raise_level(PressureLevel::capacity);
  EXPECT_TRUE(soon([&] { return first == 1 && second == 1; }));
  EXPECT_EQ(stealth_pressure_end(a), STEALTH_OK);
  EXPECT_TRUE(soon([] { return helpers() == 1; }));
  let_the_rate_recover();
  raise_level(PressureLevel::capacity);
  EXPECT_TRUE(soon([&] { return second == 2; }));
  EXPECT_EQ(first, 1);
  EXPECT_EQ(stealth_pressure_end(b), STEALTH_OK);
  EXPECT_TRUE(soon([] { return helpers() == 0; }));
}

TEST_F(Subscribers, AtMostEvery100Ms) {
  std::vector<std::chrono::steady_clock::time_point> times;
  std::atomic<int> count{0};
  Callback callback = [&](enum stealth_pressure) {
    times.push_back(std::chrono::steady_clock::now());
    ++count;
  };
  std::uint64_t const handle = subscribe(callback);
  while (count < 5) {
    raise_level(PressureLevel::capacity);
    std::this_thread::sleep_for(std::chrono::microseconds(100));
  }
  EXPECT_EQ(stealth_pressure_end(handle), STEALTH_OK);
  for (std::size_t i = 1; i < times.size(); ++i) {
    EXPECT_GE(times[i] - times[i - 1], std::chrono::milliseconds(99)) << i;
    EXPECT_LE(times[i] - times[i - 1], std::chrono::milliseconds(test::kLateMs)) << i;
  }
}

// What comes too early is told later, and not forgotten.
TEST_F(Subscribers, AnEarlyOneIsToldLater) {
  std::atomic<int> count{0};
  Callback callback = [&](enum stealth_pressure) { ++count; };
  std::uint64_t const handle = subscribe(callback);
  raise_level(PressureLevel::exhausted);
  ASSERT_TRUE(soon([&] { return count == 1; }));
  raise_level(PressureLevel::exhausted);
  EXPECT_TRUE(soon([&] { return count == 2; }));
  EXPECT_EQ(stealth_pressure_end(handle), STEALTH_OK);
}

TEST_F(Subscribers, EndWaitsForTheCallback) {
  std::atomic<bool> inside{false}, left{false};
  Callback callback = [&](enum stealth_pressure) {
    inside = true;
    std::this_thread::sleep_for(std::chrono::milliseconds(50));
    left = true;
  };
  std::uint64_t const handle = subscribe(callback);
  raise_level(PressureLevel::capacity);
  ASSERT_TRUE(soon([&] { return inside.load(); }));
  EXPECT_EQ(stealth_pressure_end(handle), STEALTH_OK);
  EXPECT_TRUE(left);
}

TEST_F(Subscribers, EndsFromWithin) {
  std::uint64_t handle = 0;
  std::atomic<int> count{0};
  Callback callback = [&](enum stealth_pressure) {
    EXPECT_EQ(stealth_pressure_end(handle), STEALTH_OK);
    EXPECT_EQ(stealth_pressure_end(handle), STEALTH_INVALID_HANDLE);
    ++count;
  };
  handle = subscribe(callback);
  raise_level(PressureLevel::capacity);
  raise_level(PressureLevel::exhausted);
  ASSERT_TRUE(soon([&] { return count == 1; }));
  EXPECT_TRUE(soon([] { return helpers() == 0; })) << "the helper ends by itself";
  EXPECT_EQ(count, 1);
  EXPECT_EQ(stealth_pressure_end(handle), STEALTH_INVALID_HANDLE);
}

TEST_F(Subscribers, ACallbackMaySubscribeAndEndOthers) {
  std::uint64_t first = 0, second = 0;
  std::atomic<int> count{0};
  Callback two = [&](enum stealth_pressure) { ++count; };
  Callback one = [&](enum stealth_pressure) {
    if (second != 0) return;
    second = subscribe(two);
    EXPECT_EQ(stealth_pressure_end(first), STEALTH_OK);
  };
  first = subscribe(one);
  raise_level(PressureLevel::capacity);
  EXPECT_TRUE(soon([&] { return count == 1; })) << "who joins in is told of what is told just then";
  EXPECT_TRUE(soon([] { return helpers() == 1; }));
  EXPECT_EQ(stealth_pressure_end(second), STEALTH_OK);
}

// A new helper is needed while the old one is in a callback that has ended itself.
TEST_F(Subscribers, ANewOneWhileTheLastCallbackStillRuns) {
  std::uint64_t handle = 0;
  std::atomic<bool> ended{false}, may_go{false}, gone{false};
  std::atomic<int> count{0};
  Callback slow = [&](enum stealth_pressure) {
    EXPECT_EQ(stealth_pressure_end(handle), STEALTH_OK);
    ended = true;
    while (!may_go) std::this_thread::sleep_for(std::chrono::milliseconds(1));
    gone = true;
  };
  Callback next = [&](enum stealth_pressure) { ++count; };
  handle = subscribe(slow);
  raise_level(PressureLevel::capacity);
  ASSERT_TRUE(soon([&] { return ended.load(); }));
  std::uint64_t const other = subscribe(next);
  raise_level(PressureLevel::exhausted);
  EXPECT_TRUE(soon([&] { return count == 1; }));
  may_go = true;
  EXPECT_EQ(stealth_pressure_end(other), STEALTH_OK);
  EXPECT_TRUE(soon([&] { return gone && helpers() == 0; }));
}

TEST_F(Subscribers, Handles) {
  EXPECT_EQ(stealth_pressure_end(0), STEALTH_INVALID_HANDLE);
  EXPECT_EQ(stealth_pressure_end(~std::uint64_t{0}), STEALTH_INVALID_HANDLE);
  Callback nothing = [](enum stealth_pressure) {};
  std::vector<std::uint64_t> handles;
  for (int i = 0; i < STEALTH_MOST_SUBSCRIPTIONS; ++i) handles.push_back(subscribe(nothing));
  std::uint64_t one_more = 5;
  EXPECT_EQ(stealth_on_pressure(call, &nothing, &one_more), STEALTH_TOO_MANY);
  EXPECT_EQ(one_more, 0u);
  EXPECT_EQ(stealth_pressure_end(handles[17]), STEALTH_OK);
  std::uint64_t const again = subscribe(nothing);
  EXPECT_NE(again, handles[17]) << "a handle is not given out twice";
  EXPECT_EQ(stealth_pressure_end(handles[17]), STEALTH_INVALID_HANDLE);
  handles[17] = again;
  for (std::uint64_t const handle : handles) EXPECT_EQ(stealth_pressure_end(handle), STEALTH_OK);
}

// No callback runs after its end: each thread's context is gone as soon as end() has returned.
TEST_F(Subscribers, ComeAndGo) {
  std::atomic<bool> over{false};
  std::thread raiser([&] {
    while (!over) {
      raise_level(PressureLevel::capacity);
      raise_level(PressureLevel::exhausted);
      g_budget.pressure().calm();
      raise_level(PressureLevel::soft);
      std::this_thread::yield();
    }
  });
  std::atomic<int> calls{0};
  test::in_threads(3, [&](int) {
    for (int i = 0; i < test::rounds(500); ++i) {
      auto alive = std::make_unique<std::atomic<bool>>(true);
      Callback callback = [&calls, flag = alive.get()](enum stealth_pressure) {
        ASSERT_TRUE(*flag);
        ++calls;
      };
      std::uint64_t const handle = subscribe(callback);
      if (i % 50 == 0) std::this_thread::sleep_for(std::chrono::milliseconds(5));
      if (i == 0) {
        ASSERT_TRUE(soon([&] { return calls > 0; })) << "the test would say nothing";
      }
      ASSERT_EQ(stealth_pressure_end(handle), STEALTH_OK);
      *alive = false;
    }
  });
  over = true;
  raiser.join();
}

#if !STEALTH_TSAN  // which does not follow threads made in a forked child
TEST_F(Subscribers, AForkedChildStartsAnew) {
  std::atomic<int> count{0};
  Callback callback = [&](enum stealth_pressure) { ++count; };
  std::uint64_t const handle = subscribe(callback);
  pid_t const child = fork();
  if (child == 0) {
    alarm(250);
    if (helpers() != 0) _exit(1);
    raise_level(PressureLevel::capacity);
    if (stealth_pressure_end(handle) != STEALTH_INVALID_HANDLE) _exit(2);
    std::uint64_t own = 0;
    if (stealth_on_pressure(call, &callback, &own) != STEALTH_OK || own == handle) _exit(3);
    if (!soon([] { return helpers() == 1; })) _exit(4);
    raise_level(PressureLevel::exhausted);
    if (!soon([&] { return count == 1; })) _exit(5);
    if (stealth_pressure_end(own) != STEALTH_OK || !soon([] { return helpers() == 0; })) _exit(6);
    _exit(0);
  }
  int status = -1;
  ASSERT_EQ(waitpid(child, &status, 0), child);
  EXPECT_EQ(status, 0) << "left by " << WEXITSTATUS(status);
  EXPECT_EQ(count, 0);
  raise_level(PressureLevel::capacity);
  EXPECT_TRUE(soon([&] { return count == 1; })) << "the parent's goes on";
  EXPECT_EQ(stealth_pressure_end(handle), STEALTH_OK);
}

#if !STEALTH_ASAN  // whose allocator's locks a forked child inherits as they are, and a thread's start takes them
TEST_F(Subscribers, ForksWhileOthersSubscribe) {
  std::atomic<bool> over{false};
  Callback nothing = [](enum stealth_pressure) {};
  std::thread other([&] {
    while (!over) {
      ASSERT_EQ(stealth_pressure_end(subscribe(nothing)), STEALTH_OK);
      ASSERT_EQ(stealth_set("soft", "80%"), STEALTH_OK);
      ASSERT_EQ(stealth_set("capacity", "auto"), STEALTH_OK);
    }
  });
  for (int i = 0; i < test::rounds(100); ++i) {
    pid_t const child = fork();
    if (child == 0) {
      alarm(250);
      std::uint64_t handle = 0;
      if (stealth_on_pressure(call, &nothing, &handle) != STEALTH_OK) _exit(1);
      if (stealth_pressure_end(handle) != STEALTH_OK) _exit(2);
      if (stealth_set("mode", "off") != STEALTH_OK) _exit(3);
      _exit(stealth_trim(nullptr));
    }
    int status = -1;
    ASSERT_EQ(waitpid(child, &status, 0), child);
    ASSERT_EQ(status, 0) << "child " << i;
  }
  over = true;
  other.join();
}
#endif
#endif

}  // namespace
