// The mark of a living thread, both ways: by the kernel's robust list, and by asking for the thread. This program's
// pthread_mutex_init is wrapped (see meson.build), so that robust mutexes can be missing.
#include <gtest/gtest.h>
#include <pthread.h>
#include <sys/wait.h>
#include <unistd.h>

#include <atomic>
#include <cerrno>
#include <deque>
#include <thread>

#include "fake_sys.hpp"
#include "os/os.hpp"
#include "os/thread_mark.hpp"
#include "support.hpp"

namespace {
std::atomic<bool> g_robust_missing{false};
}

extern "C" {
int __real_pthread_mutex_init(pthread_mutex_t* mutex, pthread_mutexattr_t const* attributes);
int __wrap_pthread_mutex_init(pthread_mutex_t* mutex, pthread_mutexattr_t const* attributes);
int __wrap_pthread_mutex_init(pthread_mutex_t* mutex, pthread_mutexattr_t const* attributes) {
  int robust = PTHREAD_MUTEX_STALLED;
  if (attributes != nullptr) pthread_mutexattr_getrobust(attributes, &robust);
  if (g_robust_missing && robust == PTHREAD_MUTEX_ROBUST) return ENOTSUP;
  return __real_pthread_mutex_init(mutex, attributes);
}
}

namespace {

using stealth::os::ThreadMark;
using stealth::test::soon;

// A thread that claims the mark, waits until it is told to, and ends in its own way.
enum class Ending { returns, exits, cancelled };

struct Holder {
  Holder(ThreadMark& its_mark, Ending its_ending) : mark(its_mark), ending(its_ending) {}

  ThreadMark& mark;
  Ending ending;
  std::atomic<bool> holds{false}, may_end{false};

  static void* run(void* self) {
    auto& the = *static_cast<Holder*>(self);
    the.mark.claim_new();
    the.holds = true;
    while (the.ending == Ending::cancelled) usleep(100);  // a cancellation point
    while (!the.may_end) usleep(100);
    if (the.ending == Ending::exits) pthread_exit(nullptr);
    return nullptr;
  }
};

class Mark : public testing::TestWithParam<bool> {
 protected:
  void SetUp() override {
    stealth::fake::reset();
    g_robust_missing = !GetParam();
  }
  void TearDown() override { g_robust_missing = false; }

  // Zeroed memory is where the engine makes its marks. It stays, as heaps do: an ended thread must not point at it.
  static ThreadMark& fresh() {
    static auto* const all = new std::deque<ThreadMark>;
    return all->emplace_back();
  }

  static bool claimed_elsewhere(ThreadMark& mark) {
    bool claimed = false;
    std::thread([&] { claimed = mark.claim_if_ended(); }).join();
    return claimed;
  }

  static void end_and_claim(Ending ending, bool detached) {
    ThreadMark& mark = fresh();
    static auto* const holders = new std::deque<Holder>;  // a detached one may look at its own a moment longer
    Holder* const holder = &holders->emplace_back(mark, ending);
    pthread_attr_t attributes;
    pthread_attr_init(&attributes);
    if (detached) pthread_attr_setdetachstate(&attributes, PTHREAD_CREATE_DETACHED);
    pthread_t thread;
    ASSERT_EQ(pthread_create(&thread, &attributes, Holder::run, holder), 0);
    pthread_attr_destroy(&attributes);
    ASSERT_TRUE(soon([&] { return holder->holds.load(); }));
    for (int i = 0; i < 10; ++i) {
      ASSERT_FALSE(mark.claim_if_ended()) << "its holder lives";
      usleep(500);
    }
    holder->may_end = true;
    if (ending == Ending::cancelled) {
      ASSERT_EQ(pthread_cancel(thread), 0);
    }
    if (!detached) {
      ASSERT_EQ(pthread_join(thread, nullptr), 0);
    }
    EXPECT_TRUE(soon([&] { return mark.claim_if_ended(); }));
    EXPECT_FALSE(claimed_elsewhere(mark)) << "now it is this thread's";
  }
};

TEST_P(Mark, ThreadThatReturned) { end_and_claim(Ending::returns, false); }
TEST_P(Mark, ThreadThatCalledExit) { end_and_claim(Ending::exits, false); }
TEST_P(Mark, CancelledThread) { end_and_claim(Ending::cancelled, false); }
TEST_P(Mark, ThreadsThatNobodyJoins) {
  end_and_claim(Ending::returns, true);
  end_and_claim(Ending::exits, true);
  end_and_claim(Ending::cancelled, true);
}

TEST_P(Mark, NeverHeldByTwo) {
  for (int round = 0; round < stealth::test::rounds(200); ++round) {
    ThreadMark& mark = fresh();
    std::thread([&] { mark.claim_new(); }).join();
    std::atomic<int> winners{0};
    stealth::test::in_threads(4, [&](int) {
      for (int i = 0; i < 10; ++i) {
        if (mark.claim_if_ended()) {
          ++winners;
          break;
        }
        if (!GetParam() && winners == 0) usleep(200);  // the kernel may still know the joined thread
      }
    });
    ASSERT_LE(winners, 1);
    if (GetParam()) {
      ASSERT_EQ(winners, 1);
    }
    ASSERT_TRUE(soon([&] { return claimed_elsewhere(mark); })) << "the winner has ended, too";
  }
}

TEST_P(Mark, PassesFromThreadToThread) {
  ThreadMark& mark = fresh();
  std::thread([&] { mark.claim_new(); }).join();
  for (int i = 0; i < 100; ++i) ASSERT_TRUE(soon([&] { return claimed_elsewhere(mark); })) << i;
}

// A thread holds several at a time (a trim takes over the marks of ended threads for a moment), and each must come off.
TEST_P(Mark, ManyMarksOfOneThread) {
  constexpr int kMarks = 8;
  ThreadMark* marks[kMarks];
  for (ThreadMark*& mark : marks) mark = &fresh();
  std::thread([&] {
    for (ThreadMark* mark : marks) mark->claim_new();
  }).join();
  for (ThreadMark* mark : marks) EXPECT_TRUE(soon([&] { return claimed_elsewhere(*mark); }));
}

// A trim takes over the marks of ended threads for a moment. What it gives back is anybody's; its own mark, and what
// else the kernel takes off when the thread ends, stay as they were.
TEST_P(Mark, ReleasedByItsHolder) {
  ThreadMark& first = fresh();
  ThreadMark& own = fresh();
  ThreadMark& last = fresh();
  std::atomic<bool> may_end{false}, released{false};
  std::thread holder([&] {
    first.claim_new();
    own.claim_new();
    last.claim_new();
    first.release();
    last.release();
    released = true;
    while (!may_end) usleep(100);
  });
  ASSERT_TRUE(soon([&] { return released.load(); }));
  EXPECT_TRUE(first.claim_if_ended());
  EXPECT_FALSE(own.claim_if_ended());
  EXPECT_TRUE(last.claim_if_ended());
  EXPECT_FALSE(own.has_ended());
  EXPECT_FALSE(first.has_ended());
  may_end = true;
  holder.join();
  EXPECT_TRUE(soon([&] { return own.has_ended(); }));
  EXPECT_TRUE(soon([&] { return own.claim_if_ended(); }));
  EXPECT_FALSE(own.has_ended());
  EXPECT_FALSE(claimed_elsewhere(first));
  EXPECT_FALSE(claimed_elsewhere(last));
  first.release();
  EXPECT_TRUE(first.has_ended()) << "nobody has it";
  EXPECT_TRUE(claimed_elsewhere(first));
}

TEST_P(Mark, InAForkedChild) {
  ThreadMark& own = fresh();
  ThreadMark& others = fresh();
  own.claim_new();
  Holder holder(others, Ending::returns);
  pthread_t thread;
  ASSERT_EQ(pthread_create(&thread, nullptr, Holder::run, &holder), 0);
  ASSERT_TRUE(soon([&] { return holder.holds.load(); }));
  pid_t const child = fork();
  ASSERT_GE(child, 0);
  if (child == 0) {
    own.claim_new();
    others.clear_in_child();
    _exit(others.claim_if_ended() ? 0 : 1);
  }
  int status = -1;
  ASSERT_EQ(waitpid(child, &status, 0), child);
  EXPECT_EQ(status, 0);
  EXPECT_FALSE(others.claim_if_ended()) << "the child's doings are its own";
  EXPECT_FALSE(claimed_elsewhere(own));
  holder.may_end = true;
  pthread_join(thread, nullptr);
}

INSTANTIATE_TEST_SUITE_P(Ways, Mark, testing::Bool(),
                         [](auto const& way) { return std::string(way.param ? "Robust" : "ByThreadId"); });

}  // namespace
