// Where the kernel is asked for huge pages, and where it is told to make none: as the mappings' flags say ("hg", "nh").
#include <atomic>
#include <cerrno>
#include <chrono>
#include <ctime>
#include <thread>

#include "helpers.hpp"

namespace {

using namespace stealth;
using test::fill;
using test::OwnArena;

constexpr std::uint32_t kHuge = 2 * kMiB / kSlot;
constexpr std::size_t kFirst = 16 * kMiB;  // held before any is asked for

class HugePagesOf : public testing::Test {
 protected:
  explicit HugePagesOf(HugePages when = HugePages::automatic) {
    own_.arena.set_huge_pages(when);
    fake::fail(SYS_clock_gettime, 1, EINVAL, fake::kForEver);  // without a clock none is found slow
  }

  stealth::Run* take(Zone zone, std::uint32_t slots, std::uint32_t pages) {
    stealth::Run* const run = own_.arena.allocate(zone, slots, 1);
    EXPECT_NE(run, nullptr);
    EXPECT_TRUE(fill(own_, run, pages, 'x'));
    return run;
  }
  stealth::Run* take(Zone zone, std::uint32_t slots) { return take(zone, slots, slots * kPagesPerSlot); }
  // One slot each, so that there are so many bytes in all.
  std::vector<stealth::Run*> slabs(std::size_t bytes) {
    std::vector<stealth::Run*> runs(bytes / kSlot);
    for (stealth::Run*& run : runs) run = take(Zone::slabs, 1);
    return runs;
  }
  // Of a run's last slot: its first ones may have been free and dirty.
  [[nodiscard]] bool wanted(stealth::Run const* run) const { return has(run, " hg "); }
  [[nodiscard]] bool refused(stealth::Run const* run) const { return has(run, " nh "); }
  // What a program does with a large block that it fills.
  void use_span(std::uint32_t pages_touched) {
    stealth::Run* const span = own_.arena.allocate(Zone::spans, kHuge, 1);
    ASSERT_NE(span, nullptr);
    ASSERT_TRUE(test::touch(own_, span, 0, kHuge * kPagesPerSlot));
    std::memset(own_.memory(span), 0, kHuge * kSlot);
    for (std::uint32_t page = 0; page < pages_touched; ++page) own_.memory(span)[page * kPage + 77] = 1;
    own_.arena.learn_from(span, kHuge * kPagesPerSlot);
    own_.arena.free(span);
  }

  fake::Fresh fresh_;
  OwnArena own_{kGiB};

 private:
  [[nodiscard]] bool has(stealth::Run const* run, char const* flag) const {
    return test::mapping_flags(own_.memory(run) + (run->slots - 1) * kSlot).find(flag) != std::string::npos;
  }
};

TEST_F(HugePagesOf, SlabsOnceThereAreMany) {
  std::vector<stealth::Run*> const runs = slabs(3 * kFirst);
  for (std::size_t i = 0; i < runs.size(); i += kHuge) {
    bool const is_early = i * kSlot < kFirst;
    EXPECT_EQ(wanted(runs[i]), !is_early) << i;
  }
  EXPECT_TRUE(own_.arena.is_valid());
}

// A host that has taken back its guest's free memory gives it anew at its leisure. Meant is the thread's own time: what
// is burnt here between the two looks at the clock.
std::atomic<bool> g_slow{false};
void burn_before(long number, bool done) {
  if (number != SYS_clock_gettime || done || !g_slow) return;
  timespec now = {}, begin = {};
  auto const ns = [](timespec const& t) { return t.tv_sec * 1'000'000'000 + t.tv_nsec; };
  ::clock_gettime(CLOCK_THREAD_CPUTIME_ID, &begin);
  do ::clock_gettime(CLOCK_THREAD_CPUTIME_ID, &now);
  while (ns(now) - ns(begin) < 2'000'000);
}

TEST_F(HugePagesOf, APauseWhereTheyAreSlow) {
  fake::stop_failing(SYS_clock_gettime);
  fake::tell(burn_before);
  g_slow = true;
  std::vector<stealth::Run*> const runs = slabs(3 * kFirst);
  std::size_t wanted_ones = 0;
  for (std::size_t i = 0; i < runs.size(); i += kHuge) wanted_ones += wanted(runs[i]) ? 1 : 0;
  EXPECT_EQ(wanted_ones, 1u) << "the one that was tried";
  EXPECT_EQ(fake::count(SYS_clock_gettime), 2u);
  std::this_thread::sleep_for(std::chrono::milliseconds(1100));
  EXPECT_EQ(slabs(2 * kHuge * kSlot).size(), 2 * kHuge);
  EXPECT_EQ(fake::count(SYS_clock_gettime), 4u) << "tried again, and the pause is longer";
  std::this_thread::sleep_for(std::chrono::milliseconds(1100));
  slabs(2 * kHuge * kSlot);
  EXPECT_EQ(fake::count(SYS_clock_gettime), 4u);
  std::this_thread::sleep_for(std::chrono::milliseconds(1000));
  fake::fail(SYS_clock_gettime, 1, EINVAL, fake::kForEver);  // quick again
  g_slow = false;
  std::vector<stealth::Run*> const later = slabs(4 * kHuge * kSlot);
  EXPECT_TRUE(wanted(later.back()));
  EXPECT_TRUE(own_.arena.is_valid());
}

// What is there already stays; what went back whole, and was asked for, comes back in small ones.
TEST_F(HugePagesOf, WhatWasAskedForBeforeThePauseIsGivenUp) {
  std::vector<stealth::Run*> const runs = slabs(3 * kFirst);
  EXPECT_TRUE(wanted(runs.back()));
  for (std::size_t i = runs.size() / 2; i < runs.size(); ++i) own_.arena.free(runs[i]);
  own_.arena.purge(0);
  fake::stop_failing(SYS_clock_gettime);
  fake::tell(burn_before);
  g_slow = true;
  std::vector<stealth::Run*> const again = slabs(3 * kFirst / 2);
  EXPECT_TRUE(wanted(runs[kFirst / kSlot + kHuge]));
  EXPECT_TRUE(refused(again.back()));
  g_slow = false;
  EXPECT_TRUE(own_.arena.is_valid());
}

// As with many threads, each of which has a few blocks of many classes.
TEST_F(HugePagesOf, NoSlabsThatAreHardlyCarved) {
  for (std::size_t i = 0; i < 4 * kFirst / kSlot; ++i) EXPECT_FALSE(wanted(take(Zone::slabs, 1, 2)));
}

TEST_F(HugePagesOf, SpansOnceSomeCameBackFilled) {
  slabs(2 * kFirst);
  stealth::Run* const early = take(Zone::spans, 4 * kHuge);
  EXPECT_FALSE(wanted(early));
  for (int i = 0; i < 4; ++i) use_span(kHuge * kPagesPerSlot);
  EXPECT_TRUE(wanted(take(Zone::spans, 4 * kHuge)));
  use_span(kHuge * kPagesPerSlot / 2);  // much room in it
  EXPECT_FALSE(wanted(take(Zone::spans, 8 * kHuge)));
  EXPECT_TRUE(own_.arena.is_valid());
}

// A table of gigabytes is not told by some buffers.
TEST_F(HugePagesOf, NoSpansMuchLongerThanThoseThatCameBackFilled) {
  slabs(2 * kFirst);
  for (int i = 0; i < 4; ++i) use_span(kHuge * kPagesPerSlot);
  EXPECT_TRUE(wanted(take(Zone::spans, 4 * kHuge)));
  stealth::Run* const table = own_.arena.allocate(Zone::spans, 40 * kHuge, kHuge);
  ASSERT_NE(table, nullptr);
  EXPECT_FALSE(wanted(table));
}

TEST_F(HugePagesOf, NoSpansThatTheProgramHardlyTouches) {
  slabs(2 * kFirst);
  for (int i = 0; i < 20; ++i) use_span(8);
  EXPECT_FALSE(wanted(take(Zone::spans, 4 * kHuge)));
}

// What is given back in part would be made whole again by the kernel.
TEST_F(HugePagesOf, NoMoreWhereAPartWentBack) {
  slabs(2 * kFirst);
  std::vector<stealth::Run*> const runs = slabs(2 * kHuge * kSlot);
  ASSERT_TRUE(wanted(runs[0]));
  for (std::size_t i = 0; i < kHuge / 2; ++i) own_.arena.free(runs[i]);
  EXPECT_TRUE(wanted(runs[0])) << "it is free, and still there";
  EXPECT_EQ(own_.arena.purge(0), kHuge / 2 * kSlot);
  EXPECT_TRUE(refused(runs[0]));
  EXPECT_TRUE(wanted(runs[kHuge])) << "the next one";
  EXPECT_TRUE(own_.arena.is_valid());
  for (std::size_t i = kHuge / 2; i < kHuge; ++i) own_.arena.free(runs[i]);
  EXPECT_EQ(own_.arena.purge(0), kHuge / 2 * kSlot);
  stealth::Run* const again = take(Zone::slabs, 1);
  ASSERT_EQ(again, runs[0]);
  EXPECT_TRUE(wanted(again)) << "nothing is left of the old one";
  EXPECT_TRUE(own_.arena.is_valid());
}

TEST_F(HugePagesOf, NoMoreWherePagesInsideWentBack) {
  slabs(2 * kFirst);
  stealth::Run* const slab = take(Zone::slabs, 4);
  ASSERT_TRUE(wanted(slab));
  ASSERT_TRUE(own_.arena.purge_pages(slab, 5, 6));
  EXPECT_TRUE(refused(slab));
  ASSERT_TRUE(own_.arena.purge_pages(slab, 7, 8));
  EXPECT_TRUE(own_.arena.is_valid());
}

TEST_F(HugePagesOf, AgainWhereAllOfThemWentBack) {
  slabs(2 * kFirst);
  for (int i = 0; i < 4; ++i) use_span(kHuge * kPagesPerSlot);
  stealth::Run* const span = take(Zone::spans, 4 * kHuge);
  char const* const last = own_.memory(span) + (4 * kHuge - 1) * kSlot;
  ASSERT_TRUE(wanted(span));
  own_.arena.free(span);
  EXPECT_GE(own_.arena.purge(0), 4 * kHuge * kSlot);
  EXPECT_NE(test::mapping_flags(last).find(" hg "), std::string::npos);
}

// Where the last of them was asked for beyond what is charged, it goes with the rest.
TEST_F(HugePagesOf, ThoseOnlyHalfInUseGoWhole) {
  slabs(2 * kFirst);
  for (int i = 0; i < 4; ++i) use_span(kHuge * kPagesPerSlot);
  own_.arena.purge(0);
  stealth::Run* const span = own_.arena.allocate(Zone::spans, kHuge + kHuge / 2, kHuge);
  ASSERT_NE(span, nullptr);
  ASSERT_TRUE(fill(own_, span, (kHuge + kHuge / 2) * kPagesPerSlot, 'x'));
  char const* const last = own_.memory(span) + (2 * kHuge - 1) * kSlot;
  ASSERT_NE(test::mapping_flags(last).find(" hg "), std::string::npos);
  own_.arena.free(span);
  EXPECT_EQ(own_.arena.purge(0), (kHuge + kHuge / 2) * kSlot);
  EXPECT_NE(test::mapping_flags(last).find(" hg "), std::string::npos) << "nothing of it is left to be torn up";
  EXPECT_TRUE(own_.arena.is_valid());
}

TEST_F(HugePagesOf, MovedPagesTakeTheirAdviceAlong) {
  slabs(2 * kFirst);
  for (int i = 0; i < 4; ++i) use_span(kHuge * kPagesPerSlot);
  stealth::Run* const from = take(Zone::spans, 2 * kHuge);
  stealth::Run* const to = own_.arena.allocate(Zone::spans, 4 * kHuge, kHuge);
  ASSERT_EQ(own_.arena.move(from, to, 2 * kHuge), Moved::pages);
  EXPECT_EQ(own_.memory(to)[kMiB], 'x');
  own_.arena.free(from);
  own_.arena.free(to);
  EXPECT_TRUE(own_.arena.is_valid());
  EXPECT_TRUE(wanted(take(Zone::spans, 4 * kHuge))) << "mapped afresh, and asked for afresh";
}

TEST_F(HugePagesOf, NoneWhileThereIsACapacity) {
  CapacityLimits limits;
  limits.capacity = kGiB;
  own_.budget.configure(limits);
  std::vector<stealth::Run*> const runs = slabs(2 * kFirst);
  EXPECT_FALSE(wanted(runs.back()));
  EXPECT_TRUE(refused(runs.back())) << "nor where the kernel makes them unasked";
}

TEST_F(HugePagesOf, NoneWhereTheKernelHasNone) {
  fake::Fresh const fresh;
  fake::fail(SYS_madvise, 1, EINVAL, fake::kForEver);
  std::vector<stealth::Run*> const runs = slabs(2 * kFirst);
  for (std::size_t i = 0; i < kHuge / 2; ++i) own_.arena.free(runs[runs.size() - 1 - i]);
  EXPECT_FALSE(wanted(runs[kFirst / kSlot + kHuge]));
  EXPECT_TRUE(own_.arena.is_valid());
}

struct Always : HugePagesOf {
  Always() : HugePagesOf(HugePages::always) {}
};
TEST_F(Always, FromTheFirstOnAndForSpans) {
  EXPECT_TRUE(wanted(take(Zone::slabs, 1, 1)));
  EXPECT_TRUE(wanted(take(Zone::spans, kHuge)));
}

struct Never : HugePagesOf {
  Never() : HugePagesOf(HugePages::never) {}
};
TEST_F(Never, WhateverTheSystemsSetting) {
  std::vector<stealth::Run*> const runs = slabs(2 * kFirst);
  for (std::size_t i = 0; i < runs.size(); i += kHuge) EXPECT_TRUE(refused(runs[i]));
}

}  // namespace
