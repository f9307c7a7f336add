// Every system call refuses once, and for ever: the arena says so or does without, stays valid, and recovers.
#include <cerrno>

#include "helpers.hpp"

namespace {

using namespace stealth;
using test::fill;
using test::OwnArena;

constexpr std::uint32_t P = kPagesPerSlot;

class Failures : public testing::Test {
 protected:
  fake::Fresh fresh_;
};

TEST_F(Failures, ReservesWhatCanBeHad) {
  fake::fail(SYS_mmap, 1, ENOMEM, 3);
  OwnArena own(kGiB);
  EXPECT_EQ(own.arena.reserved_bytes(), kGiB / 8);
  EXPECT_NE(own.arena.allocate(Zone::slabs, 1, 1), nullptr);
}

TEST_F(Failures, NothingCanBeReserved) {
  OwnArena own(0);
  fake::fail(SYS_mmap, 1, ENOMEM, fake::kForEver);
  EXPECT_FALSE(own.arena.reserve(kGiB));
  EXPECT_EQ(fake::count(SYS_mmap), 11u) << "1 GiB down to 1 MiB";
  EXPECT_FALSE(own.arena.reserve(kMiB - 1));
  EXPECT_FALSE(own.arena.reserve(0));
  EXPECT_EQ(own.arena.reserved_bytes(), 0u);
  EXPECT_FALSE(own.arena.contains(own.arena.offset_of(this)));
  EXPECT_EQ(own.arena.allocate(Zone::spans, 1, 1), nullptr);
  EXPECT_TRUE(own.arena.is_valid());
  EXPECT_EQ(own.arena.purge(0), 0u);
  own.arena.limit_reservation(0);
}

TEST_F(Failures, OddSizesAreReserved) {
  for (std::size_t const bytes : {kMiB + 1, 3 * kMiB - 5, 65 * kMiB + 12'345}) {
    OwnArena own(bytes);
    EXPECT_LE(own.arena.reserved_bytes(), bytes);
    EXPECT_GT(own.arena.reserved_bytes(), bytes - 2 * kSlot);
    std::size_t slots = 0;
    while (own.arena.allocate(Zone::spans, 1, 1) != nullptr) ++slots;
    EXPECT_EQ(slots, own.arena.reserved_bytes() >> kSlotShift);
    EXPECT_TRUE(own.arena.is_valid());
  }
}

TEST_F(Failures, SmallerStepsAreTried) {
  OwnArena own(kGiB);
  fake::fail(SYS_mprotect, 4, ENOMEM, 3);  // the first three are the tables'
  auto* const run = own.arena.allocate(Zone::slabs, 1, 1);
  ASSERT_NE(run, nullptr);
  ASSERT_TRUE(fill(own, run, P, 'x'));
  EXPECT_TRUE(own.arena.is_valid());
}

TEST_F(Failures, EveryCommitOnce) {
  for (std::uint64_t nth = 1; nth <= 40; ++nth) {
    for (std::uint64_t const times : {std::uint64_t{1}, std::uint64_t{9}, fake::kForEver}) {
      OwnArena own(16 * kMiB);
      fake::fail(SYS_mprotect, nth, ENOMEM, times);
      std::vector<stealth::Run*> runs;
      int refused = 0;
      for (int i = 0; i < 30; ++i) {
        auto* const run = own.arena.allocate(i % 2 == 0 ? Zone::slabs : Zone::spans, 5, 1);
        ASSERT_TRUE(own.arena.is_valid()) << nth << ", " << times << ", " << i;
        if (run == nullptr) {
          ++refused;
          continue;
        }
        ASSERT_TRUE(fill(own, run, 5 * P, 'x'));
        runs.push_back(run);
      }
      if (times == fake::kForEver && nth == 1) {
        EXPECT_EQ(refused, 30);
      }
      fake::stop_failing(SYS_mprotect);
      for (auto* const run : runs) own.arena.free(run);
      ASSERT_NE(own.arena.allocate(Zone::spans, 100, 1), nullptr) << "all is well again";
      ASSERT_TRUE(own.arena.is_valid());
    }
  }
}

TEST_F(Failures, ExtendingAtTheFrontier) {
  OwnArena own(64 * kMiB);
  auto* const run = own.arena.allocate(Zone::spans, 1, 1);
  ASSERT_TRUE(fill(own, run, P, 'x'));
  std::uint32_t slots = 1;
  while (own.arena.extend(run, slots + 1) &&
         own.arena.contains(own.arena.offset_of(own.memory(run) + (slots + 1) * kSlot)))
    ++slots;
  std::uint32_t const whole = run->slots;
  fake::fail(SYS_mprotect, 1, ENOMEM, fake::kForEver);
  EXPECT_FALSE(own.arena.extend(run, whole + 1));
  EXPECT_EQ(run->slots, whole);
  EXPECT_EQ(own.memory(run)[0], 'x');
  EXPECT_TRUE(own.arena.is_valid());
  fake::stop_failing(SYS_mprotect);
  EXPECT_TRUE(own.arena.extend(run, whole + 1));
  EXPECT_TRUE(own.arena.is_valid());
}

TEST_F(Failures, PurgingLockedMemory) {
  OwnArena own(64 * kMiB, 0);
  fake::fail(SYS_madvise, 1, EINVAL, fake::kForEver);
  auto* const run = own.arena.allocate(Zone::spans, 3, 1);
  ASSERT_TRUE(fill(own, run, 2 * P + 2, 'x'));
  own.arena.purge_from(run, 1);
  EXPECT_EQ(own.held(), (2 * P + 2) * kPage);
  own.arena.free(run);
  EXPECT_EQ(own.arena.purge(0), 0u);
  Arena::Step const step = own.arena.purge_step(true);
  EXPECT_TRUE(step.refused && !step.more && step.bytes == 0);
  EXPECT_EQ(own.held(), (2 * P + 2) * kPage) << "the kernel still has it";
  EXPECT_EQ(own.arena.free_dirty_bytes(), (2 * P + 2) * kPage);
  EXPECT_TRUE(own.arena.is_valid());
  auto* const again = own.arena.allocate(Zone::spans, 3, 1);
  ASSERT_EQ(again, run);
  own.arena.zero_dirty(again, 3 * P);
  EXPECT_EQ(own.memory(again)[0], 0);
  own.arena.free(again);
  fake::stop_failing(SYS_madvise);
  EXPECT_EQ(own.arena.purge(0), (2 * P + 2) * kPage);
  EXPECT_EQ(own.held(), 0u);
}

// What lies at the target after a refusal cannot be told from somebody else's memory unless it is a hole, so it is
// given up.
TEST_F(Failures, AMoveThatFailsCostsTheTarget) {
  OwnArena own(64 * kMiB);
  auto* const from = own.arena.allocate(Zone::spans, 2, 1);
  auto* const to = own.arena.allocate(Zone::spans, 4, 1);
  auto* const other = own.arena.allocate(Zone::spans, 4, 1);
  ASSERT_TRUE(fill(own, from, P + 2, 'x') && fill(own, to, 3, 'y'));
  fake::fail(SYS_mremap, 1, ENOMEM);
  EXPECT_EQ(own.arena.move(from, to, 2), Moved::target_lost);
  EXPECT_EQ(own.held(), (P + 2) * kPage);
  EXPECT_EQ(own.memory(from)[(P + 2) * kPage - 1], 'x');
  EXPECT_TRUE(own.arena.is_valid());
  EXPECT_EQ(own.arena.move(from, other, 2), Moved::not_at_all) << "and no other is risked";
  EXPECT_TRUE(own.arena.is_valid());
}

// Kernels up to 6.16 unmap the target and refuse then, where the source is several mappings.
TEST_F(Failures, AMoveThatLeavesAHoleIsMended) {
  OwnArena own(64 * kMiB);
  auto* const from = own.arena.allocate(Zone::spans, 2, 1);
  auto* const to = own.arena.allocate(Zone::spans, 4, 1);
  ASSERT_TRUE(fill(own, from, P + 2, 'x') && fill(own, to, 3, 'y'));
  fake::fail(SYS_mremap, 1, EFAULT);
  ASSERT_TRUE(os::unmap(own.memory(to), 2 * kSlot));
  EXPECT_EQ(own.arena.move(from, to, 2), Moved::not_at_all);
  EXPECT_EQ(own.memory(from)[(P + 2) * kPage - 1], 'x');
  EXPECT_EQ(own.memory(to)[0], 0) << "mapped again";
  EXPECT_EQ(own.held(), (P + 2) * kPage);
  EXPECT_TRUE(own.arena.is_valid());
  EXPECT_EQ(own.arena.move(from, to, 2), Moved::pages);
  EXPECT_EQ(own.memory(to)[0], 'x');
}

TEST_F(Failures, MappingAfreshFails) {
  OwnArena own(64 * kMiB);
  auto* const from = own.arena.allocate(Zone::spans, 2, 1);
  auto* const to = own.arena.allocate(Zone::spans, 4, 1);
  ASSERT_TRUE(fill(own, from, P + 2, 'x'));
  ASSERT_EQ(own.arena.move(from, to, 2), Moved::pages);
  own.arena.free(from);
  fake::fail(SYS_mmap, 1, ENOMEM);
  own.arena.free(to);
  EXPECT_EQ(own.held(), 0u) << "given up, not counted";
  EXPECT_TRUE(own.arena.is_valid());
  auto* const again = own.arena.allocate(Zone::spans, 4, 1);
  own.arena.zero_dirty(again, 4 * P);
  ASSERT_TRUE(test::touch(own, again, 0, 4 * P));
  for (std::size_t at = 0; at < 4 * kSlot; at += 64) ASSERT_EQ(own.memory(again)[at], 0);
  own.arena.free(again);
  own.arena.purge(0);
  EXPECT_EQ(own.held(), 0u);
}

TEST_F(Failures, TheTailCannotBeGivenBack) {
  OwnArena own(kGiB);
  ASSERT_NE(own.arena.allocate(Zone::spans, 1, 1), nullptr);
  std::size_t const mapped = own.arena.mapped_bytes();
  fake::fail(SYS_munmap, 1, ENOMEM);
  own.arena.limit_reservation(64 * kMiB);
  EXPECT_EQ(own.arena.reserved_bytes(), kGiB);
  EXPECT_EQ(own.arena.mapped_bytes(), mapped);
  fake::fail(SYS_munmap, 2, ENOMEM, 3);  // the tables' tails
  own.arena.limit_reservation(64 * kMiB);
  EXPECT_EQ(own.arena.reserved_bytes(), 64 * kMiB);
  EXPECT_TRUE(own.arena.is_valid());
  EXPECT_NE(own.arena.allocate(Zone::spans, 60 * kMiB >> kSlotShift, 1), nullptr);
  EXPECT_TRUE(own.arena.is_valid());
}

}  // namespace
