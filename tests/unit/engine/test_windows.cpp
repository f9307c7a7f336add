// A guard's samples are drawn in windows: as many as the bytes of so many lists deserve, then none for a while. Each
// test has an engine of its own, in a child process.
#include <cmath>

#include "engine.hpp"
#include "engine/sampling.hpp"

namespace {

using namespace stealth;
using test::start_engine;

constexpr double kInterval = 64 * kKiB;
constexpr std::size_t kSize = 64;
constexpr int kFirstWindow = 256 * 4 * kKiB / kSize;  // blocks in so many lists of first length
constexpr int kLate = 10'000'000;

std::atomic<int> g_asked, g_reopened;
std::atomic<bool> g_serves;
alignas(16) char g_served[kMostGuardSampled];

std::uint64_t draw_all(std::uint32_t&) noexcept { return 1; }
std::uint64_t draw(std::uint32_t& random) noexcept {
  random ^= random << 13;
  random ^= random >> 17;
  random ^= random << 5;
  return static_cast<std::uint64_t>(-std::log((random + 1.0) / 4294967296.0) * kInterval) + 1;
}
void* serve(Heap& heap, std::size_t size, std::size_t block, std::size_t alignment) noexcept {
  EXPECT_TRUE(t_thread.busy);
  EXPECT_EQ(&heap, t_thread.own);
  EXPECT_LE(size, block);
  EXPECT_LE(size, kMostGuardSampled);
  EXPECT_GE(alignment, kMinAlignment);
  ++g_asked;
  return g_serves ? g_served : nullptr;
}
void reopened(std::uint32_t windows) noexcept { EXPECT_EQ(windows, static_cast<std::uint32_t>(++g_reopened)); }
constexpr GuardSampler kAll = {draw_all, serve, reopened};
constexpr GuardSampler kSome = {draw, serve, reopened};

void begin(GuardSampler const& sampler) {
  begin_guard_sampling(sampler);
  show_classes();
}

// Pairs of malloc and free, which never find a list empty but while they are counted.
void go(int pairs, std::size_t size = kSize) {
  for (int i = 0; i < pairs; ++i) {
    void* const p = allocate(size);
    ASSERT_NE(p, nullptr);
    if (p != g_served) deallocate(p);
  }
}

// Comes to the slow path again and again, until the next window has opened.
void wait_for_window() {
  int const before = g_reopened;
  for (int i = 0; i < kLate && g_reopened == before; ++i) {
    std::vector<void*> held;
    for (int j = 0; j < 2000; ++j) held.push_back(allocate(2048));
    for (void* const p : held) deallocate(p);
  }
  ASSERT_GT(g_reopened, before);
}

void expect_near(int found, double expected) { EXPECT_NEAR(found, expected, 6 * std::sqrt(expected) + 3); }

TEST(Windows, WhatIsCountedIsBounded) {
  test::in_a_child([] {
    ASSERT_TRUE(start_engine({}));
    begin(kSome);
    go(test::rounds(200'000));
    expect_near(g_asked, kFirstWindow * kSize / kInterval);
    EXPECT_FALSE(g_window_open);
    int const asked = g_asked;
    go(100'000);
    EXPECT_EQ(g_asked, asked);
    EXPECT_EQ(g_reopened, 0);
    wait_for_window();
    go(200'000);
    EXPECT_GT(g_asked, asked);
    EXPECT_FALSE(g_window_open);
    test::expect_consistent();
  });
}

TEST(Windows, ARequestThatIsServedIsNoBlock) {
  test::in_a_child([] {
    ASSERT_TRUE(start_engine({}));
    g_serves = true;
    begin(kAll);
    void* const first = allocate(100);
    EXPECT_EQ(first, g_served);
    EXPECT_EQ(g_asked, 1);
    g_serves = false;
    void* const second = allocate(100);
    EXPECT_NE(second, g_served);
    EXPECT_EQ(g_asked, 2);
    deallocate(second);
    test::expect_consistent();
  });
}

TEST(Windows, SmallOnesOnly) {
  test::in_a_child([] {
    ASSERT_TRUE(start_engine({}));
    begin(kAll);
    for (std::size_t const size : {kMostGuardSampled + 1, kMaxSmall, kMaxSmall + 1, std::size_t{kMiB}}) {
      go(100, size);
      EXPECT_EQ(g_asked, 0) << size;
    }
    go(1, kMostGuardSampled);
    EXPECT_EQ(g_asked, 1);
  });
}

TEST(Windows, NoneUnderPressure) {
  test::in_a_child([] {
    ASSERT_TRUE(start_engine({.limits = test::capacity_of(8 * kMiB, 100, OnExhausted::grant)}));
    begin(kAll);
    std::vector<void*> held;
    while (!g_budget.under_pressure() && held.size() < 8192) held.push_back(allocate(8000));
    ASSERT_TRUE(g_budget.under_pressure());
    int const asked = g_asked;
    go(100);
    EXPECT_EQ(g_asked, asked);
    for (void* const p : held) deallocate(p);
  });
}

std::atomic<int> g_profiled;
constexpr Sampler kProfiler = {draw,
                               [](std::size_t) noexcept {
                                 ++g_profiled;
                                 return std::uint32_t{0};
                               },
                               [](std::uint32_t, std::size_t) noexcept {}, [](std::uint32_t) noexcept {}};

// Each as often as if it were alone, and the profile's after the window as well.
TEST(Windows, BesideAProfile) {
  test::in_a_child([] {
    ASSERT_TRUE(start_engine({}));
    begin(kSome);
    begin_sampling(kProfiler);
    int const pairs = test::rounds(400'000);
    go(pairs);
    expect_near(g_profiled, pairs * (1 - std::exp(-static_cast<double>(kSize) / kInterval)));
    if (pairs > 2 * kFirstWindow) {
      expect_near(g_asked, kFirstWindow * kSize / kInterval);
      EXPECT_FALSE(g_window_open);
    }
    int const asked = g_asked, profiled = g_profiled;
    end_sampling();
    go(100'000);
    EXPECT_EQ(g_profiled, profiled);
    EXPECT_LE(g_asked - asked, 2 * kFirstWindow * static_cast<double>(kSize) / kInterval + 3);
    test::expect_consistent();
  });
}

TEST(Windows, AForkedChildBeginsAnew) {
  test::in_a_child([] {
    ASSERT_TRUE(start_engine({}));
    begin(kSome);
    go(200);
    EXPECT_TRUE(g_window_open);
    fork_prepare();
    fork_in_child();  // as far as windows go
    g_reopened = -1;  // none has been closed here yet: the first to come back is number 0
    EXPECT_FALSE(g_window_open);
    EXPECT_TRUE(window_may_open());
    wait_for_window();
  });
}

TEST(Windows, ThreadsShareThem) {
  test::in_a_child([] {
    ASSERT_TRUE(start_engine({}));
    begin(kSome);
    test::in_threads(4, [](int) { go(test::rounds(200'000)); });
    EXPECT_FALSE(g_window_open);
    // Lists that were begun when the last one was counted are counted, too.
    EXPECT_LE(g_asked, 2 * kFirstWindow * static_cast<double>(kSize) / kInterval + 3);
    EXPECT_GT(g_asked, 0);
    test::expect_consistent();
  });
}

}  // namespace
