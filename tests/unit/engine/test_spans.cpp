// Large allocations: kept, grown in place, moved, cut; zeroed; counted.
#include <csignal>
#include "engine.hpp"

namespace {

using namespace stealth;
using test::Block;
using test::census;
using test::expect_consistent;

class Spans : public testing::Test {
 protected:
  void SetUp() override {
    trim();
    before_ = census().all.large_bytes;
    held_ = g_budget.held();
  }
  void TearDown() override {
    EXPECT_EQ(census().all.large_bytes, before_);
    trim();
    EXPECT_LE(g_budget.held(), held_);
    expect_consistent();
  }
  [[nodiscard]] std::uint64_t large() const { return census().all.large_bytes - before_; }

  std::uint64_t before_ = 0, held_ = 0;
};

// What a large request gets: as far as there are lists for it, a step of the ladder, else whole pages.
std::uint64_t given(std::size_t size) { return align_up(size <= kMaxListed ? ladder_step(size) : size, kPage); }

TEST_F(Spans, PagesAreWhatIsCounted) {
  std::uint64_t const calls = census().all.large_calls;
  std::uint64_t bytes = 0;
  std::vector<Block> blocks;
  for (std::size_t size = kMaxSmall + 1; size < 20 * kMiB; size += size / 3 + 17) {
    blocks.push_back(test::make_blocks(1, size, size)[0]);
    EXPECT_EQ(usable_size(blocks.back().at), given(size));
    bytes += given(size);
    EXPECT_EQ(large(), bytes);
    EXPECT_GE(g_budget.held(), bytes);
    EXPECT_LE(g_budget.held(), held_ + bytes + kMiB);
  }
  EXPECT_EQ(census().all.large_calls, calls + blocks.size());
  expect_consistent();
  test::free_blocks(blocks);
  EXPECT_EQ(large(), 0u);
}

TEST_F(Spans, RecentOnesAreKept) {
  void* const first = allocate(50'000);
  deallocate(first);
  std::uint64_t const held = g_budget.held();
  for (int i = 0; i < 100; ++i) {
    void* const p = allocate(50'000);
    EXPECT_EQ(p, first);
    deallocate(p);
  }
  EXPECT_EQ(g_budget.held(), held);
  expect_consistent();
  trim();
  EXPECT_LE(g_budget.held(), held_);
}

// A list holds nothing until it was asked for, then a few blocks; what lies in it is found out when it is freed again.
TEST_F(Spans, ListsHoldAFew) {
  trim();
  std::uint32_t const list = span_list(100'000);
  Bin const& bin = t_thread.heap->bins[kClasses + list];
  std::uint64_t const before = large();
  for (int round = 0; round < 4; ++round) {
    std::vector<void*> blocks;
    for (int i = 0; i < 5; ++i) blocks.push_back(allocate(100'000));
    EXPECT_EQ(large(), before + 5 * given(100'000)) << round;
    for (void* const p : blocks) deallocate(p);
    EXPECT_EQ(large(), before) << "what lies in a list is not in use";
    EXPECT_LE(bin.limit, static_cast<std::int32_t>(kMaxListed / bytes_in_list(list)));
    expect_consistent();
  }
  EXPECT_GT(bin.limit, 0) << "asked for three times";
  EXPECT_EQ(bin.room, 0) << "and full";
  EXPECT_EXIT(deallocate(static_cast<void*>(bin.head)), testing::KilledBySignal(SIGABRT), "double free: ");
  EXPECT_EXIT(static_cast<void>(usable_size(bin.head)), testing::KilledBySignal(SIGABRT), "use after free: ");
  void* const calm = allocate(90'000);
  EXPECT_EQ(usable_size(calm), given(90'000)) << "one from the list";
  deallocate(calm);
  trim();
  EXPECT_EQ(bin.head, nullptr);
  EXPECT_EQ(bin.room, bin.limit);
}

// Each step of the ladder has its list, and whatever goes into it is of that size.
TEST(SpanLists, StepsOfTheLadder) {
  for (std::size_t size = kMaxSmall + 1; size <= kMaxListed; size += 1 + size % 97) {
    ASSERT_LT(span_list(size), kSpanLists);
    ASSERT_EQ(bytes_in_list(span_list(size)), ladder_step(size)) << size;
  }
}

TEST_F(Spans, GrowStepByStep) {
  for (std::size_t const first : {std::size_t{40'000}, std::size_t{300'000}}) {
    Block block = test::make_blocks(1, first, first)[0];
    for (std::size_t size = first; size < 64 * kMiB; size += size / 2 + 4001) {
      auto* const at = static_cast<char*>(reallocate(block.at, size));
      ASSERT_NE(at, nullptr);
      block.at = at;
      ASSERT_TRUE(test::intact(block, block.size)) << block.size << " -> " << size;
      block.size = size;
      test::write(block);
      ASSERT_EQ(usable_size(at), given(size));
      ASSERT_EQ(large(), given(size));
      ASSERT_TRUE(engine_is_valid());
    }
    deallocate(block.at);
  }
}

// Between walls, so that nothing can grow in place: pages move, and old and new are never charged both.
TEST_F(Spans, MovedNotCopied) {
  Block block = test::make_blocks(1, kMiB, 11)[0];
  std::vector<void*> walls;
  for (int i = 0; i < 5; ++i) {
    walls.push_back(allocate(40'000));
    std::size_t const size = block.size * 2;
    std::uint64_t const peak = g_budget.facts().peak_held;
    std::uint64_t const held = g_budget.held();
    auto* const at = static_cast<char*>(reallocate(block.at, size));
    ASSERT_NE(at, nullptr);
    EXPECT_LE(g_budget.facts().peak_held, std::max(peak, held + (size - block.size) + kMiB));
    block.at = at;
    ASSERT_TRUE(test::intact(block, block.size));
    block.size = size;
    test::write(block);
    ASSERT_TRUE(engine_is_valid());
  }
  for (void* const wall : walls) deallocate(wall);
  deallocate(block.at);
}

TEST_F(Spans, ShrinkGivesPagesBack) {
  Block block = test::make_blocks(1, 8 * kMiB, 12)[0];
  for (std::size_t size = 6 * kMiB; size > kMaxSmall; size = size * 2 / 3) {
    auto* const at = static_cast<char*>(reallocate(block.at, size));
    ASSERT_NE(at, nullptr);
    block.at = at;
    ASSERT_TRUE(test::intact(block, size));
    ASSERT_EQ(usable_size(at), given(size));
    EXPECT_EQ(large(), given(size));
    block.size = size;
    test::write(block);
    ASSERT_TRUE(engine_is_valid());
  }
  // Down into a slab.
  auto* const small = static_cast<char*>(reallocate(block.at, 1000));
  block.at = small;
  EXPECT_TRUE(test::intact(block, 1000));
  EXPECT_EQ(usable_size(small), ladder_step(1000));
  EXPECT_EQ(large(), 0u);
  deallocate(small);
}

TEST_F(Spans, ShrinkAfterAMove) {
  Block block = test::make_blocks(1, kMiB, 13)[0];
  for (int i = 0; i < 3; ++i) {
    void* const wall = allocate(40'000);
    block.at = static_cast<char*>(reallocate(block.at, 4 * kMiB));
    ASSERT_TRUE(test::intact(block, block.size));
    block.size = 4 * kMiB;
    test::write(block);
    for (std::size_t const size : {3 * kMiB, kMiB, 700 * kKiB}) {
      block.at = static_cast<char*>(reallocate(block.at, size));
      ASSERT_TRUE(test::intact(block, size));
      block.size = size;
      test::write(block);
      ASSERT_TRUE(engine_is_valid());
      EXPECT_EQ(large() - align_up(40'000, kPage), size);
    }
    deallocate(wall);
  }
  deallocate(block.at);
}

TEST_F(Spans, SmallBlocksGrowIntoSpansAndBack) {
  test::Random random(14);
  Block block{static_cast<char*>(reallocate(nullptr, 1)), 1, 77};
  test::write(block);
  for (int i = 0; i < test::rounds(3000); ++i) {
    std::size_t const size = random.skewed(random.one_in(10) ? 6 * kMiB : 100'000);
    auto* const at = static_cast<char*>(reallocate(block.at, size));
    ASSERT_NE(at, nullptr);
    block.at = at;
    ASSERT_TRUE(test::intact(block, std::min(size, block.size)));
    ASSERT_GE(usable_size(at), size);
    block.size = size;
    test::write(block);
  }
  EXPECT_EQ(reallocate(block.at, 0), nullptr);
}

TEST_F(Spans, ZeroedAfterUse) {
  test::Random random(15);
  for (int i = 0; i < test::rounds(3000); ++i) {
    std::size_t const size = random.skewed(random.one_in(20) ? 4 * kMiB : 200'000);
    void* const dirty = allocate(size);
    std::memset(dirty, 0xFF, usable_size(dirty));
    if (random.one_in(2)) {
      dirty == nullptr ? void() : deallocate(dirty);
    } else {
      deallocate(reallocate(dirty, size + random.below(size)));
    }
    if (random.one_in(50)) trim();
    void* const p = allocate_zeroed(size);
    ASSERT_TRUE(test::all_zero(p, size)) << size;
    std::memset(p, 0xFF, usable_size(p));
    deallocate(p);
  }
}

TEST_F(Spans, FreedByOthers) {
  std::vector<Block> blocks;
  for (std::size_t i = 0; i < 60; ++i) {
    for (Block const& block : test::make_blocks(1, 40'000 + i * 9000, i)) blocks.push_back(block);
  }
  test::in_threads(4, [&](int index) {
    for (std::size_t i = static_cast<std::size_t>(index); i < blocks.size(); i += 4) {
      ASSERT_TRUE(test::intact(blocks[i]));
      if (i % 3 == 0) {
        auto* const at = static_cast<char*>(reallocate(blocks[i].at, blocks[i].size * 2));
        ASSERT_NE(at, nullptr);
        blocks[i].at = at;
        ASSERT_TRUE(test::intact(blocks[i]));
      }
      deallocate(blocks[i].at);
    }
  });
}

}  // namespace
