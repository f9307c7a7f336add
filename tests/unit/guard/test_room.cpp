// What fault detection keeps, and for how long: quarantine, what is charged and comes back, what happens at the
// capacity and at the end of the range, and what becomes of blocks that are freed to a thread that is no more. Each
// test has an engine of its own.
#include "../engine/fault_lines.hpp"
#include "guard/blocks.hpp"
#include "guarded.hpp"

namespace {

using namespace stealth;
using test::in_a_child;
using test::Owned;
using test::start_guarded;

// What a heap may keep of one size when all of it is free: quarantine (64 KiB of it, or 16), the slab that it carves
// from and some to take from, each with its records. What is in quarantine keeps its slab: here blocks are freed in the
// order in which they were handed out, so that these are few.
constexpr std::uint64_t kSlabBytes = std::uint64_t{guard::kSlabSlots} * kSlot;
constexpr std::uint64_t most_kept(std::size_t size) {
  return max(64 * kKiB, 16 * (size + size / 4 + 16)) + 8 * kSlabBytes;
}

// How many of its size are freed before a freed block is handed out again.
int rounds_until_again(std::size_t size) {
  void* const freed = allocate(size);
  deallocate(freed);
  for (int i = 1; i < 3000; ++i) {
    void* const p = allocate(size);
    deallocate(p);
    if (p == freed) return i;
  }
  return 3000;
}

TEST(GuardQuarantine, HoldsAsManyAsItSays) {
  for (std::size_t const size : {0u, 1u, 24u, 100u, 1000u, 5000u, 32768u}) {
    in_a_child([&] {
      ASSERT_TRUE(start_guarded());
      int const found = rounds_until_again(size);
      EXPECT_GE(found, 16) << size;
      EXPECT_LE(found, 1024 + 2) << size;
      EXPECT_GE((static_cast<std::size_t>(found) + 1) * (size + 8 + size / 4 + 16),
                std::min<std::size_t>(64 * kKiB, size * 16))
          << size;
      test::expect_sound();
    });
  }
}

// Also what another thread frees; and the pages of large ones stay closed as long.
TEST(GuardQuarantine, HoldsWhatOthersFree) {
  in_a_child([&] {
    ASSERT_TRUE(start_guarded());
    void* const freed = allocate(1000);
    std::thread([&] { deallocate(freed); }).join();
    for (int i = 0; i < 15; ++i) {
      void* const p = allocate(1000);
      EXPECT_NE(p, freed);
      EXPECT_TRUE(test::all_zero(freed, 1000));
      deallocate(p);
    }
    test::expect_sound();
  });
}

TEST(GuardQuarantine, HoldsSpans) {
  in_a_child([&] {
    ASSERT_TRUE(start_guarded());
    void* const freed = allocate(100'000);
    std::uint64_t const held = g_budget.held();
    deallocate(freed);
    EXPECT_LE(g_budget.held() + 100'000, held) << "addresses alone are kept";
    for (int i = 0; i < 250; ++i) {
      void* const p = allocate(100'000);
      ASSERT_NE(p, freed) << i;
      deallocate(p);
    }
    EXPECT_DEATH(static_cast<char volatile*>(freed)[5] = 1, "");
    test::expect_sound();
  });
}

// The pages in front of a slab's first block and behind its last one.
TEST(GuardQuarantine, SlabsEndAtClosedPages) {
  in_a_child([&] {
    ASSERT_TRUE(start_guarded());
    for (std::size_t const size : {24u, 5000u, 32768u}) {
      auto* const first = static_cast<char*>(allocate(size));
      std::size_t const within = g_arena.offset_of(first) % kSlabBytes;
      char* const end = first - within + kSlabBytes;
      EXPECT_DEATH(first[-1] = 1, "") << size;
      EXPECT_DEATH(end[-1] = 1, "") << size;
      std::memset(first, 1, size);
      deallocate(first);
    }
    test::expect_sound();
  });
}

// Behind the blocks that were handed out so far is none yet.
TEST(GuardQuarantine, WhereNoBlockHasBeen) {
  in_a_child([&] {
    ASSERT_TRUE(start_guarded());
    auto* const p = static_cast<char*>(allocate(9000));
    char* const beyond = p + ladder_step(9008);
    EXPECT_FAULT(deallocate(beyond), "invalid free: " + test::text_of(beyond) + " was never handed out (size class " +
                                         std::to_string(ladder_step(9008)) + ")");
    EXPECT_EQ(allocate(9000), beyond);
  });
}

// --- what is charged ---

TEST(GuardRoom, ComesBackWhenItIsFreed) {
  for (std::size_t const size : {16u, 100u, 1000u, 5000u, 32768u}) {
    in_a_child([&] {
      ASSERT_TRUE(start_guarded());
      std::uint64_t const before = g_budget.held();
      std::vector<Owned> blocks = test::own_many(8 * kMiB / (size + 100), size);
      EXPECT_GE(g_budget.held(), before + 4 * kMiB) << size;
      test::give_back(blocks);
      trim();
      EXPECT_EQ(test::live(), 0u);
      EXPECT_LE(g_budget.held(), before + most_kept(size)) << size;
      test::expect_sound();
    });
  }
}

TEST(GuardRoom, SpansComeBackWhole) {
  in_a_child([&] {
    ASSERT_TRUE(start_guarded());
    deallocate(allocate(100'000));
    std::uint64_t const before = g_budget.held();
    for (std::size_t const size : {std::size_t{40'000}, std::size_t{100'001}, kMiB, 20 * kMiB}) {
      std::vector<Owned> blocks = test::own_many(10, size);
      EXPECT_GE(g_budget.held(), before + 10 * size);
      test::give_back(blocks);
      EXPECT_EQ(g_budget.held(), before) << size;
      void* const aligned = allocate_aligned(size, kMiB);
      EXPECT_GE(g_budget.held(), before + size);
      deallocate(aligned);
      EXPECT_EQ(g_budget.held(), before) << size;
    }
    test::expect_sound();
  });
}

TEST(GuardRoom, DoesNotGrowRoundByRound) {
  in_a_child([&] {
    ASSERT_TRUE(start_guarded());
    std::uint64_t after_two = 0;
    for (int round = 0; round < 12; ++round) {
      test::Random random(5);
      std::vector<Owned> blocks;
      for (int i = 0; i < 2000; ++i) blocks.push_back(test::own_fresh(random.skewed(20'000)));
      for (std::size_t i = blocks.size(); i > 1; --i) std::swap(blocks[i - 1], blocks[random.below(i)]);
      test::give_back(blocks);
      trim();
      if (round == 1) after_two = g_budget.held();
    }
    EXPECT_LE(g_budget.held(), after_two + after_two / 4);
    test::expect_sound();
  });
}

// What others free to a thread is its to take, at its next call.
TEST(GuardRoom, WhatOthersFreeComesBackWithTheNextCall) {
  in_a_child([&] {
    ASSERT_TRUE(start_guarded());
    std::uint64_t const before = g_budget.held();
    std::vector<Owned> blocks = test::own_many(8000, 1000);
    std::thread([&] { test::give_back(blocks); }).join();
    EXPECT_EQ(test::live(), 0u);
    deallocate(allocate(16));
    trim();
    EXPECT_LE(g_budget.held(), before + most_kept(1000) + kSlabBytes);
    test::expect_sound();
  });
}

// Where the thread has ended, the next one that takes over what it had; so no number of threads adds up.
TEST(GuardRoom, WhatIsFreedToEndedThreadsDoesNotAddUp) {
  in_a_child([&] {
    ASSERT_TRUE(start_guarded());
    constexpr std::size_t kBlocks = 4000, kSize = 1000;
    deallocate(allocate(1));
    for (int i = 0; i < 30; ++i) {
      std::vector<Owned> blocks;
      std::thread([&] { blocks = test::own_many(kBlocks, kSize); }).join();
      test::give_back(blocks);
      EXPECT_EQ(test::census().all.heaps, 3u) << "this thread's, the ended one's and the shared one";
      ASSERT_LE(g_budget.held(), kBlocks * (kSize + 100) + 2 * most_kept(kSize)) << "thread " << i;
    }
    std::thread([] { deallocate(allocate(1)); }).join();
    trim();
    EXPECT_LE(g_budget.held(), 2 * most_kept(kSize));
    test::expect_sound();
  });
}

// --- what lies with nobody ---

// A trim takes what was freed to a thread that calls nothing any more, living or ended.
TEST(GuardRoom, TrimTakesWhatOthersHaveFreed) {
  in_a_child([&] {
    ASSERT_TRUE(start_guarded());
    std::vector<Owned> blocks = test::own_many(8000, 1000);
    std::thread([&] { test::give_back(blocks); }).join();
    trim();
    EXPECT_LE(g_budget.held(), most_kept(1000));
  });
  in_a_child([&] {
    ASSERT_TRUE(start_guarded());
    std::vector<Owned> blocks;
    std::thread([&] { blocks = test::own_many(8000, 1000); }).join();
    test::give_back(blocks);
    trim();
    EXPECT_LE(g_budget.held(), 2 * most_kept(1000));
  });
}

}  // namespace
