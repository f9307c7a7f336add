// Charging pages, giving them back, by age and at once; moving pages; zeroing what is dirty. Ages are turned to with
// the clock, in steps that no machine is late by. Linked with --wrap=clock_gettime.
#include <ctime>

#include "helpers.hpp"

namespace {

time_t g_ahead_s = 0;

}  // namespace

extern "C" {
int __real_clock_gettime(clockid_t clock, timespec* into);
int __wrap_clock_gettime(clockid_t clock, timespec* into);
int __wrap_clock_gettime(clockid_t clock, timespec* into) {
  int const result = __real_clock_gettime(clock, into);
  if (clock == CLOCK_MONOTONIC_COARSE) into->tv_sec += g_ahead_s;
  return result;
}
}

namespace {

using namespace stealth;
using test::fill;
using test::OwnArena;

constexpr std::uint32_t P = kPagesPerSlot;

TEST(Pages, ChargedOnceEach) {
  OwnArena own(64 * kMiB);
  stealth::Run* const run = own.arena.allocate(Zone::slabs, 2, 2);
  EXPECT_EQ(own.held(), 0u);
  EXPECT_TRUE(test::touch(own, run, 0, 1));
  EXPECT_EQ(own.held(), kPage);
  EXPECT_TRUE(test::touch(own, run, 1, 3));
  EXPECT_TRUE(test::touch(own, run, 0, 3));
  EXPECT_TRUE(test::touch(own, run, 3, 3));
  EXPECT_EQ(own.held(), 3 * kPage);
  EXPECT_TRUE(test::touch(own, run, 3, P + 2));  // into the second slot
  EXPECT_EQ(own.held(), (P + 2) * kPage);
  EXPECT_TRUE(test::touch(own, run, P + 2, 2 * P, Level::over));
  EXPECT_EQ(own.held(), 2 * kSlot);
  EXPECT_TRUE(own.arena.is_valid());
  own.arena.free(run);
  EXPECT_EQ(own.held(), 2 * kSlot) << "free, but not given back";
  EXPECT_EQ(own.arena.free_dirty_bytes(), 2 * kSlot);
  stealth::Run* const again = own.arena.allocate(Zone::slabs, 2, 2);
  ASSERT_EQ(again, run);
  EXPECT_EQ(own.arena.free_dirty_bytes(), 0u);
  EXPECT_TRUE(test::touch(own, again, 0, 2 * P));
  EXPECT_EQ(own.held(), 2 * kSlot) << "what is charged already is free of charge";
}

TEST(Pages, NoneWhereTheCapacityIsReached) {
  OwnArena own(64 * kMiB);
  CapacityLimits limits;
  limits.capacity = (P + 2) * kPage;
  own.budget.configure(limits);
  stealth::Run* const run = own.arena.allocate(Zone::slabs, 2, 1);
  EXPECT_TRUE(test::touch(own, run, 0, P));
  EXPECT_FALSE(test::touch(own, run, P, P + 3));
  EXPECT_EQ(own.held(), kSlot) << "all or nothing";
  EXPECT_TRUE(own.arena.is_valid());
  EXPECT_TRUE(test::touch(own, run, P, P + 2));
  EXPECT_TRUE(test::touch(own, run, P + 2, 2 * P, Level::over));
  EXPECT_EQ(own.held(), 2 * kSlot);
  EXPECT_TRUE(own.arena.is_valid());
}

// Over the capacity, what becomes free pays that back first: it is not kept for the delay.
TEST(Pages, OverTheCapacityTheyGoAtOnce) {
  for (Mode const mode : {Mode::enforce, Mode::observe, Mode::off}) {
    OwnArena own(64 * kMiB);
    CapacityLimits limits;
    limits.capacity = 4 * kSlot;
    limits.mode = mode;
    own.budget.configure(limits);
    stealth::Run* runs[6];
    for (stealth::Run*& run : runs) {
      run = own.arena.allocate(Zone::spans, 1, 1);
      ASSERT_TRUE(test::touch(own, run, 0, P, Level::over));
    }
    std::size_t const over = mode == Mode::enforce ? 4 * kSlot : 6 * kSlot;
    own.arena.free(runs[0]);
    own.arena.free(runs[2]);
    EXPECT_EQ(own.held(), over);
    own.arena.free(runs[4]);
    EXPECT_EQ(own.held(), over) << "and within it it is";
    EXPECT_TRUE(own.arena.is_valid());
    for (int const rest : {1, 3, 5}) own.arena.free(runs[rest]);
    EXPECT_EQ(own.held(), over);
    own.arena.purge(0);
    EXPECT_EQ(own.held(), 0u);
  }
}

TEST(Pages, WithoutDelayTheyGoAtOnce) {
  OwnArena own(64 * kMiB, 0);
  stealth::Run* const run = own.arena.allocate(Zone::spans, 3, 1);
  ASSERT_TRUE(fill(own, run, 2 * P + 2, 'x'));
  char* const memory = own.memory(run);
  own.arena.shrink(run, 1);
  EXPECT_EQ(own.held(), kSlot);
  EXPECT_EQ(test::resident_pages(memory, 3 * kSlot), P);
  own.arena.free(run);
  EXPECT_EQ(own.held(), 0u);
  EXPECT_EQ(test::resident_pages(memory, 3 * kSlot), 0u);
  EXPECT_TRUE(own.arena.is_valid());
}

TEST(Pages, PurgeSaysHowMuchAndLeavesZeroes) {
  OwnArena own(64 * kMiB);
  stealth::Run* const keep = own.arena.allocate(Zone::spans, 1, 1);
  stealth::Run* const run = own.arena.allocate(Zone::spans, 2, 1);
  stealth::Run* const other = own.arena.allocate(Zone::slabs, 1, 1);
  for (stealth::Run* const one : {keep, run, other}) ASSERT_TRUE(fill(own, one, 3, 'x'));
  own.arena.free(run);
  own.arena.free(other);
  EXPECT_EQ(own.arena.free_dirty_bytes(), 6 * kPage);
  EXPECT_EQ(own.arena.purge(0), 6 * kPage);
  EXPECT_EQ(own.arena.purge(0), 0u);
  EXPECT_EQ(own.held(), 3 * kPage);
  EXPECT_EQ(own.memory(keep)[3 * kPage - 1], 'x');
  EXPECT_EQ(own.memory(run)[0], 0);
  EXPECT_EQ(own.memory(other)[3 * kPage - 1], 0);
}

TEST(Pages, ByAge) {
  OwnArena own(64 * kMiB);
  stealth::Run* const old = own.arena.allocate(Zone::spans, 1, 1);
  stealth::Run* const wall = own.arena.allocate(Zone::spans, 1, 1);
  stealth::Run* const young = own.arena.allocate(Zone::spans, 1, 1);
  ASSERT_TRUE(fill(own, old, 3, 'x') && fill(own, young, 2, 'x'));
  own.arena.free(old);
  g_ahead_s += 1000;
  own.arena.free(young);
  EXPECT_EQ(own.arena.purge(2'000'000), 0u);
  EXPECT_EQ(own.arena.purge(500'000), 3 * kPage) << "the old run alone";
  EXPECT_EQ(own.arena.purge(0), 2 * kPage);
  own.arena.free(wall);
}

// In steps of a huge page's memory or little more, between which everything may change: also the run that would have
// been next.
TEST(Pages, ByAgeInSteps) {
  constexpr std::uint32_t kHugeSlots = 2 * kMiB / kSlot;
  OwnArena own(kGiB, 500'000);
  auto const make = [&](std::uint32_t slots) {
    stealth::Run* const run = own.arena.allocate(Zone::spans, slots, 1);
    EXPECT_TRUE(fill(own, run, slots * P, 'x'));
    EXPECT_NE(own.arena.allocate(Zone::spans, 1, 1), nullptr);
    return run;
  };
  stealth::Run* const large = make(5 * kHugeSlots);
  std::vector<stealth::Run*> small;
  for (int i = 0; i < 300; ++i) small.push_back(make(2));
  own.arena.free(large);
  for (stealth::Run* const run : small) own.arena.free(run);
  std::size_t const all = own.held();
  EXPECT_EQ(own.arena.purge_step(true).bytes, 0u) << "too young";
  g_ahead_s += 1000;
  stealth::Run* const again = own.arena.allocate(Zone::spans, 2, 1);
  own.arena.set_purge_delay(1u << 30);  // or this free would purge
  own.arena.free(again);                // young now
  own.arena.set_purge_delay(500'000);

  std::size_t bytes = 0;
  int steps = 0;
  Arena::Step step{.more = true};
  for (; step.more; ++steps) {
    step = own.arena.purge_step(steps == 0);
    EXPECT_LT(step.bytes, 4 * kMiB);
    EXPECT_FALSE(step.refused);
    bytes += step.bytes;
    EXPECT_EQ(own.held(), all - bytes);
    ASSERT_TRUE(own.arena.is_valid());
    // The next runs of the bin that it stands in go, and others come.
    if (steps == 1) {
      std::vector<stealth::Run*> taken;
      for (int i = 0; i < 150; ++i) taken.push_back(own.arena.allocate(Zone::spans, 2, 1));
      for (stealth::Run* const run : taken) own.arena.free(run);
    }
    ASSERT_LT(steps, 100);
  }
  EXPECT_GE(steps, 6);
  EXPECT_GE(bytes, 5 * kHugeSlots * kSlot + 100 * 2 * kSlot);
  EXPECT_EQ(own.arena.free_dirty_bytes(), own.held());
  EXPECT_EQ(own.arena.purge_step(true).bytes, 0u);
  g_ahead_s += 1000;
  bytes = 0;
  for (bool first = true; own.arena.free_dirty_bytes() != 0; first = false)
    static_cast<void>(own.arena.purge_step(first));
  EXPECT_EQ(own.held(), 0u);
  EXPECT_TRUE(own.arena.is_valid());
}

// What is left of a run that was cut stays as old as it was; what merges is as young as its youngest part.
TEST(Pages, AgeOfPieces) {
  OwnArena own(64 * kMiB);
  stealth::Run* const run = own.arena.allocate(Zone::spans, 8, 1);
  stealth::Run* const wall = own.arena.allocate(Zone::spans, 1, 1);
  ASSERT_TRUE(fill(own, run, 8 * kPagesPerSlot, 'x'));
  own.arena.free(run);
  g_ahead_s += 1000;
  stealth::Run* const piece = own.arena.allocate(Zone::spans, 2, 1);
  ASSERT_EQ(piece, run);
  EXPECT_EQ(own.arena.purge(500'000), 6 * kSlot);
  own.arena.free(piece);
  EXPECT_EQ(own.arena.purge(500'000), 0u);
  EXPECT_EQ(own.arena.purge(0), 2 * kSlot);
  own.arena.free(wall);
}

TEST(Pages, OldOnesGoWithALaterFree) {
  OwnArena own(64 * kMiB, 500'000);
  stealth::Run* const first = own.arena.allocate(Zone::spans, 2 * kMiB / kSlot, 1);
  stealth::Run* const wall = own.arena.allocate(Zone::spans, 1, 1);
  stealth::Run* const second = own.arena.allocate(Zone::spans, 1, 1);
  ASSERT_TRUE(fill(own, first, 2 * kMiB / kPage, 'x') && fill(own, second, 1, 'x'));
  own.arena.free(first);
  g_ahead_s += 1000;
  EXPECT_EQ(own.held(), 2 * kMiB + kPage);
  own.arena.free(second);
  EXPECT_EQ(own.held(), kPage);
  own.arena.free(wall);
  EXPECT_TRUE(own.arena.is_valid());
}

TEST(Pages, FromASlotOn) {
  OwnArena own(64 * kMiB);
  stealth::Run* const run = own.arena.allocate(Zone::spans, 4, 1);
  ASSERT_TRUE(fill(own, run, 3 * P + 2, 'x'));
  own.arena.purge_from(run, 2);
  EXPECT_EQ(own.held(), 2 * kSlot);
  EXPECT_EQ(own.memory(run)[2 * kSlot - 1], 'x');
  EXPECT_EQ(own.memory(run)[2 * kSlot], 0);
  EXPECT_TRUE(own.arena.is_valid());
  own.arena.purge_from(run, 0);
  EXPECT_EQ(own.held(), 0u);
  own.arena.purge_from(run, 0);
  EXPECT_TRUE(own.arena.is_valid());
}

// Until little enough is dirty, the longest runs first: fewer calls for more memory.
TEST(Pages, DownTo) {
  OwnArena own(64 * kMiB);
  std::vector<stealth::Run*> runs;
  for (std::uint32_t const slots : {1u, 3u, 40u, 2u, 100u, 7u}) {
    runs.push_back(own.arena.allocate(slots % 2 == 0 ? Zone::slabs : Zone::spans, slots, 1));
    ASSERT_TRUE(fill(own, runs.back(), slots * P, 'x'));
    ASSERT_NE(own.arena.allocate(slots % 2 == 0 ? Zone::slabs : Zone::spans, 1, 1), nullptr);
  }
  for (stealth::Run* const run : runs) own.arena.free(run);
  own.arena.purge_down_to(153 * kSlot);
  EXPECT_EQ(own.held(), 153 * kSlot);
  own.arena.purge_down_to(152 * kSlot);
  EXPECT_EQ(own.held(), 53 * kSlot);
  own.arena.purge_down_to(13 * kSlot);
  EXPECT_EQ(own.held(), 13 * kSlot);
  EXPECT_TRUE(own.arena.is_valid());
  own.arena.purge_down_to(0);
  EXPECT_EQ(own.held(), 0u);
  EXPECT_EQ(own.arena.free_dirty_bytes(), 0u);
  EXPECT_TRUE(own.arena.is_valid());
}

TEST(Pages, MovedWithContentsAndCharge) {
  OwnArena own(64 * kMiB);
  stealth::Run* const from = own.arena.allocate(Zone::spans, 3, 1);
  stealth::Run* const to = own.arena.allocate(Zone::spans, 6, 1);
  ASSERT_TRUE(fill(own, from, 2 * P + 2, 'x'));
  ASSERT_TRUE(fill(own, to, 6 * P, 'y'));
  EXPECT_EQ(own.held(), (8 * P + 2) * kPage);
  ASSERT_EQ(own.arena.move(from, to, 3), Moved::pages);
  EXPECT_EQ(own.held(), (2 * P + 2 + 3 * P) * kPage) << "what stood there is gone";
  EXPECT_TRUE(own.arena.is_valid());
  EXPECT_EQ(own.memory(to)[0], 'x');
  EXPECT_EQ(own.memory(to)[(2 * P + 2) * kPage - 1], 'x');
  EXPECT_EQ(own.memory(to)[3 * kSlot], 'y');
  EXPECT_EQ(test::resident_pages(own.memory(from), 3 * kSlot), 0u);
  EXPECT_TRUE(test::is_mapped(own.memory(from)));
  EXPECT_TRUE(to->moved);
  EXPECT_FALSE(own.arena.extend(to, 7)) << "it is a mapping of its own";
  own.arena.shrink(to, 1);
  EXPECT_EQ(to->slots, 6u);
  own.arena.free(from);
  own.arena.free(to);
  EXPECT_EQ(own.held(), 0u) << "mapped afresh";
  EXPECT_TRUE(own.arena.is_valid());
}

// Mappings are scarce: many moves leave few of them behind once the runs are free again.
TEST(Pages, MovesAreCountedAndMended) {
  OwnArena own(kGiB);
  auto const mappings = [] {
    std::ifstream maps("/proc/self/maps");
    std::size_t count = 0;
    for (std::string line; std::getline(maps, line);) ++count;
    return count;
  };
  std::size_t const before = mappings();
  std::vector<stealth::Run*> moved;
  while (true) {
    stealth::Run* const from = own.arena.allocate(Zone::spans, 1, 1);
    stealth::Run* const to = own.arena.allocate(Zone::spans, 1, 1);
    ASSERT_TRUE(fill(own, from, 1, 'x'));
    bool const could = own.arena.move(from, to, 1) == Moved::pages;
    own.arena.free(from);
    if (!could) {
      own.arena.free(to);
      break;
    }
    ASSERT_EQ(own.memory(to)[0], 'x');
    moved.push_back(to);
    ASSERT_LT(moved.size(), 20'000u) << "65,530 mappings are all that a process has";
  }
  EXPECT_GE(moved.size(), 100u);
  EXPECT_TRUE(own.arena.is_valid());
  for (stealth::Run* const run : moved) own.arena.free(run);
  EXPECT_TRUE(own.arena.is_valid());
  EXPECT_LT(mappings(), before + 100) << "of " << moved.size() << " moves";
  stealth::Run* const from = own.arena.allocate(Zone::spans, 1, 1);
  stealth::Run* const to = own.arena.allocate(Zone::spans, 1, 1);
  ASSERT_TRUE(fill(own, from, 1, 'x'));
  EXPECT_EQ(own.arena.move(from, to, 1), Moved::pages) << "and they can be moved again";
}

TEST(Pages, ZeroedWhereDirty) {
  OwnArena own(64 * kMiB);
  stealth::Run* run = own.arena.allocate(Zone::spans, 3, 1);
  ASSERT_TRUE(fill(own, run, P + 2, 'x'));
  own.arena.free(run);
  run = own.arena.allocate(Zone::spans, 3, 1);
  own.arena.zero_dirty(run, P + 1);
  EXPECT_EQ(own.memory(run)[(P + 1) * kPage], 'x') << "beyond what was asked for";
  ASSERT_TRUE(test::touch(own, run, 0, 3 * P));
  for (std::size_t at = 0; at < (P + 1) * kPage; ++at) ASSERT_EQ(own.memory(run)[at], 0) << at;
  for (std::size_t at = (P + 2) * kPage; at < 3 * kSlot; ++at) ASSERT_EQ(own.memory(run)[at], 0) << at;
}

}  // namespace
