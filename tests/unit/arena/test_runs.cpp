// What runs promise: fit, alignment, zones, coalescing, growth, the whole of the range; the map; giving addresses back.
#include "helpers.hpp"

namespace {

using namespace stealth;
using test::OwnArena;

constexpr std::uint32_t kSlots4MiB = 4 * kMiB >> kSlotShift;

TEST(Runs, EverySlotCanBeHad) {
  OwnArena own(4 * kMiB);
  ASSERT_EQ(own.arena.reserved_bytes(), 4 * kMiB);
  std::vector<stealth::Run*> runs;
  while (stealth::Run* const run = own.arena.allocate(Zone::spans, 1, 1)) runs.push_back(run);
  EXPECT_EQ(runs.size(), kSlots4MiB);
  EXPECT_TRUE(own.arena.is_valid());
  for (stealth::Run* const run : runs) own.arena.free(run);
  EXPECT_TRUE(own.arena.is_valid());
}

TEST(Runs, OneRunCanTakeEverything) {
  OwnArena own(4 * kMiB);
  stealth::Run* const all = own.arena.allocate(Zone::spans, kSlots4MiB, 1);
  EXPECT_NE(all, nullptr);
  EXPECT_EQ(own.arena.allocate(Zone::spans, 1, 1), nullptr);
  if (all != nullptr) own.arena.free(all);
  EXPECT_EQ(own.arena.allocate(Zone::spans, kSlots4MiB + 1, 1), nullptr);
  EXPECT_TRUE(own.arena.is_valid());
}

TEST(Runs, FreedInAnyOrderTheyBecomeOne) {
  test::Random random(5);
  OwnArena own(16 * kMiB);
  for (int round = 0; round < 50; ++round) {
    std::vector<stealth::Run*> runs;
    std::uint32_t slots = 0;
    while (stealth::Run* const run =
               own.arena.allocate(Zone::slabs, 1 + static_cast<std::uint32_t>(random.below(4)), 1)) {
      runs.push_back(run);
      slots += run->slots;
    }
    EXPECT_GE(slots, (16 * kMiB >> kSlotShift) - 3);
    while (!runs.empty()) {
      std::swap(runs[random.below(runs.size())], runs.back());
      own.arena.free(runs.back());
      runs.pop_back();
    }
    ASSERT_TRUE(own.arena.is_valid());
    stealth::Run* const most = own.arena.allocate(Zone::slabs, (16 * kMiB >> kSlotShift) - 1, 1);
    ASSERT_NE(most, nullptr);
    own.arena.free(most);
  }
}

TEST(Runs, TheSmallestHoleThatFits) {
  OwnArena own(256 * kMiB);
  std::vector<stealth::Run*> holes, walls;
  for (std::uint32_t const slots : {10u, 5u, 7u, 30u, 6u, 100u, 80u, 90u}) {
    holes.push_back(own.arena.allocate(Zone::spans, slots, 1));
    walls.push_back(own.arena.allocate(Zone::spans, 1, 1));
  }
  for (stealth::Run* const hole : holes) own.arena.free(hole);
  auto const expect_in = [&](std::uint32_t slots, stealth::Run* hole) {
    stealth::Run* const run = own.arena.allocate(Zone::spans, slots, 1);
    EXPECT_EQ(run, hole) << slots;
    own.arena.free(run);
  };
  expect_in(5, holes[1]);
  expect_in(6, holes[4]);
  expect_in(7, holes[2]);
  expect_in(8, holes[0]);
  expect_in(11, holes[3]);
  expect_in(75, holes[6]);
  expect_in(85, holes[7]);
  expect_in(95, holes[5]);
  EXPECT_TRUE(own.arena.is_valid());
}

// A bin of long runs holds many lengths.
TEST(Runs, VeryLongRuns) {
  OwnArena own(std::size_t{64} * kGiB);
  std::uint32_t const slots = static_cast<std::uint32_t>((std::size_t{20} * kGiB) >> kSlotShift);
  stealth::Run* const a = own.arena.allocate(Zone::spans, slots, 1);
  stealth::Run* const wall = own.arena.allocate(Zone::spans, 1, 1);
  stealth::Run* const b = own.arena.allocate(Zone::spans, slots + 7, 1);
  ASSERT_TRUE(a != nullptr && wall != nullptr && b != nullptr);
  own.arena.free(b);
  own.arena.free(a);
  EXPECT_TRUE(own.arena.is_valid());
  EXPECT_EQ(own.arena.allocate(Zone::spans, slots + 5, 1), b);
  EXPECT_EQ(own.arena.allocate(Zone::spans, slots - 5, 1), a);
  EXPECT_TRUE(own.arena.is_valid());
}

// Alignment is one of addresses, also where the reservation itself begins at a lesser one.
TEST(Runs, AlignedByAddress) {
  for (std::size_t const reservation : {16 * kMiB, kGiB, 16 * kGiB}) {
    OwnArena own(reservation);
    for (std::uint32_t align = 1; align * kSlot <= reservation / 8; align *= 2) {
      for (std::uint32_t const slots : {1u, 3u}) {
        stealth::Run* const run = own.arena.allocate(Zone::spans, slots, align);
        ASSERT_NE(run, nullptr) << align;
        EXPECT_EQ(reinterpret_cast<std::uintptr_t>(own.memory(run)) % (align * kSlot), 0u)
            << "alignment " << align * kSlot << " of " << reservation;
        own.arena.free(run);
      }
    }
    EXPECT_TRUE(own.arena.is_valid());
  }
}

TEST(Runs, ZonesKeepApartWhileTheyCan) {
  OwnArena own(kGiB);
  for (int i = 0; i < 2000; ++i) {
    Zone const zone = i % 3 == 0 ? Zone::slabs : Zone::spans;
    stealth::Run* const run = own.arena.allocate(zone, 1 + static_cast<std::uint32_t>(i % 5), 1);
    ASSERT_NE(run, nullptr);
    ASSERT_EQ(run->zone, zone);
    if (i % 2 == 0) own.arena.free(run);
  }
  EXPECT_TRUE(own.arena.is_valid());
}

TEST(Runs, TheOtherZoneHelpsOut) {
  OwnArena own(4 * kMiB);
  std::vector<stealth::Run*> slabs;
  while (stealth::Run* const run = own.arena.allocate(Zone::slabs, 1, 1)) slabs.push_back(run);
  ASSERT_EQ(slabs.size(), kSlots4MiB);
  for (std::size_t i = 0; i < 4; ++i) own.arena.free(slabs[i]);
  stealth::Run* const span = own.arena.allocate(Zone::spans, 4, 1);
  ASSERT_NE(span, nullptr);
  EXPECT_EQ(span->zone, Zone::slabs) << "it goes back to where it came from";
  EXPECT_EQ(own.arena.allocate(Zone::slabs, 1, 1), nullptr);
  own.arena.free(span);
  EXPECT_TRUE(own.arena.is_valid());
  EXPECT_NE(own.arena.allocate(Zone::slabs, 4, 1), nullptr);
}

TEST(Runs, ExtendTakesTheFreeNeighbour) {
  OwnArena own(64 * kMiB);
  stealth::Run* const run = own.arena.allocate(Zone::spans, 2, 1);
  stealth::Run* const next = own.arena.allocate(Zone::spans, 3, 1);
  stealth::Run* const wall = own.arena.allocate(Zone::spans, 1, 1);
  ASSERT_EQ(own.arena.slot_of(next), own.arena.slot_of(run) + 2);
  EXPECT_FALSE(own.arena.extend(run, 3)) << "the neighbour is in use";
  EXPECT_EQ(run->slots, 2u);
  own.arena.free(next);
  EXPECT_FALSE(own.arena.extend(run, 6)) << "no room before the wall";
  EXPECT_EQ(run->slots, 2u);
  EXPECT_TRUE(own.arena.extend(run, 4));
  EXPECT_TRUE(own.arena.extend(run, 5));
  EXPECT_EQ(run->slots, 5u);
  EXPECT_TRUE(own.arena.is_valid());
  own.arena.shrink(run, 1);
  EXPECT_TRUE(own.arena.is_valid());
  stealth::Run* const again = own.arena.allocate(Zone::spans, 4, 1);
  EXPECT_EQ(own.arena.slot_of(again), own.arena.slot_of(run) + 1);
  own.arena.free(wall);
}

TEST(Runs, ExtendGrowsAtTheFrontier) {
  OwnArena own(256 * kMiB);
  stealth::Run* const run = own.arena.allocate(Zone::spans, 1, 1);
  for (std::uint32_t slots = 2; slots < (256 * kMiB >> kSlotShift); slots += slots / 2 + 1) {
    ASSERT_TRUE(own.arena.extend(run, slots)) << slots;
    ASSERT_EQ(run->slots, slots);
    ASSERT_TRUE(own.arena.is_valid());
  }
  EXPECT_FALSE(own.arena.extend(run, (256 * kMiB >> kSlotShift) + 1));
  EXPECT_FALSE(own.arena.extend(run, 0xFFFFFFF0u));
  own.arena.free(run);
  EXPECT_TRUE(own.arena.is_valid());
}

TEST(Runs, TooLongForTheRange) {
  OwnArena own(4 * kMiB);
  EXPECT_EQ(own.arena.allocate(Zone::spans, 0xFFFFFFFFu, 1), nullptr);
  EXPECT_EQ(own.arena.allocate(Zone::spans, 1, 1u << 31), nullptr);
  EXPECT_EQ(own.arena.allocate(Zone::spans, 0xFFFFFFFFu, 1u << 31), nullptr);
  EXPECT_TRUE(own.arena.is_valid());
}

TEST(Runs, TheMapSaysWhoseASlotIs) {
  OwnArena own(64 * kMiB);
  EXPECT_FALSE(own.arena.contains(0)) << "nothing is usable before the first run";
  stealth::Run* const run = own.arena.allocate(Zone::slabs, 4, 4);
  std::uint32_t const first = own.arena.slot_of(run);
  own.arena.set_owner(run, 4, 0x1234);
  for (std::uint32_t i = 0; i < 4; ++i) EXPECT_EQ(own.arena.owner_word(first + i), 0x1234u);
  EXPECT_EQ(own.arena.owner_word(first + 4), 0u);
  own.arena.set_owner(run, 4, 0);
  EXPECT_EQ(own.arena.owner_word(first + 3), 0u);

  char* const memory = own.memory(run);
  EXPECT_EQ(own.arena.offset_of(memory) >> kSlotShift, first);
  EXPECT_TRUE(own.arena.contains(own.arena.offset_of(memory + 4 * kSlot - 1)));
  EXPECT_FALSE(own.arena.contains(own.arena.offset_of(own.memory(own.arena.run_at(0)) - 1)));
  EXPECT_FALSE(own.arena.contains(own.arena.offset_of(nullptr)));
  int local = 0;
  EXPECT_FALSE(own.arena.contains(own.arena.offset_of(&local)));
}

TEST(Runs, TheTailOfTheReservationGoesBack) {
  OwnArena own(std::size_t{1} * kGiB);
  stealth::Run* const run = own.arena.allocate(Zone::spans, kMiB >> kSlotShift, 1);
  char* const base = own.memory(own.arena.run_at(0));
  std::size_t const mapped = own.arena.mapped_bytes();
  EXPECT_GT(mapped, kGiB);
  own.arena.limit_reservation(100 * kMiB);
  EXPECT_EQ(own.arena.reserved_bytes(), 100 * kMiB);
  EXPECT_LE(own.arena.mapped_bytes(), mapped - (kGiB - 100 * kMiB));
  EXPECT_TRUE(test::is_mapped(base + 100 * kMiB - kPage));
  EXPECT_FALSE(test::is_mapped(base + 100 * kMiB));
  EXPECT_TRUE(own.arena.is_valid());
  own.arena.limit_reservation(200 * kMiB);
  EXPECT_EQ(own.arena.reserved_bytes(), 100 * kMiB) << "what went back is gone";

  std::vector<stealth::Run*> runs{run};
  while (stealth::Run* const more = own.arena.allocate(Zone::spans, kMiB >> kSlotShift, 1)) {
    ASSERT_TRUE(test::fill(own, more, 1, 'x'));
    ASSERT_TRUE(test::fill(own, more, kMiB / kPage, 'x'));
    runs.push_back(more);
  }
  EXPECT_EQ(runs.size(), 100u);
  own.arena.limit_reservation(0);
  EXPECT_EQ(own.arena.reserved_bytes(), 100 * kMiB) << "what is in use stays";
  for (stealth::Run* const one : runs) own.arena.free(one);
  EXPECT_TRUE(own.arena.is_valid());
  own.arena.purge(0);
  EXPECT_EQ(own.held(), 0u);
}

TEST(Runs, LeftOutOfDumps) {
  for (bool const dumpable : {true, false}) {
    OwnArena own(64 * kMiB);
    own.arena.set_dumpable(dumpable);
    stealth::Run* const from = own.arena.allocate(Zone::spans, 4, 1);
    stealth::Run* const to = own.arena.allocate(Zone::spans, 4, 1);
    ASSERT_TRUE(test::fill(own, from, 4 * kPagesPerSlot, 'x'));
    auto const left_out = [&](stealth::Run* run) {
      return test::mapping_flags(own.memory(run)).find(" dd ") != std::string::npos;
    };
    EXPECT_EQ(left_out(from), !dumpable);
    ASSERT_EQ(own.arena.move(from, to, 4), Moved::pages);
    EXPECT_EQ(left_out(to), !dumpable);
    own.arena.free(to);
    EXPECT_EQ(left_out(to), !dumpable) << "mapped afresh";
    EXPECT_EQ(left_out(from), !dumpable);
  }
}

TEST(Runs, UnderThreads) {
  OwnArena own(kGiB, 1);
  test::in_threads(4, [&](int index) {
    test::Random random(50 + static_cast<std::uint64_t>(index));
    std::vector<stealth::Run*> mine;
    char const with = static_cast<char>('a' + index);
    for (int i = 0; i < test::rounds(20'000); ++i) {
      if (mine.size() > 30 || (!mine.empty() && random.one_in(2))) {
        std::swap(mine[random.below(mine.size())], mine.back());
        stealth::Run* const run = mine.back();
        ASSERT_EQ(own.memory(run)[0], with);
        ASSERT_EQ(own.memory(run)[kSlot * run->slots - 1], with);
        own.arena.set_owner(run, 1, 0);
        own.arena.free(run);
        mine.pop_back();
        continue;
      }
      if (random.one_in(20)) own.arena.purge(0);
      auto const slots = static_cast<std::uint32_t>(random.skewed(8));
      stealth::Run* run = own.arena.allocate(random.one_in(2) ? Zone::slabs : Zone::spans, slots, 1);
      ASSERT_NE(run, nullptr);
      if (random.one_in(4)) static_cast<void>(own.arena.extend(run, slots + 2));
      if (random.one_in(4)) own.arena.shrink(run, 1);
      ASSERT_TRUE(test::touch(own, run, 0, run->slots * kPagesPerSlot));
      own.memory(run)[0] = with;
      own.memory(run)[kSlot * run->slots - 1] = with;
      own.arena.set_owner(run, 1, static_cast<std::uint32_t>(index) + 1);
      mine.push_back(run);
    }
    for (stealth::Run* const run : mine) own.arena.free(run);
  });
  EXPECT_TRUE(own.arena.is_valid());
  own.arena.purge(0);
  EXPECT_EQ(own.held(), 0u);
}

}  // namespace
