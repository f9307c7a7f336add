// Slabs through their states: carved, full, partly free, empty, given back; and the thread's lists before them.
#include "engine.hpp"

namespace {

using namespace stealth;
using test::Block;
using test::census;
using test::expect_consistent;

Slab* slab_of(void* p) {
  std::size_t const slot = g_arena.offset_of(p) >> kSlotShift;
  return slab_at(slot, g_classes.classes[list_in(g_arena.owner_word(slot))]);
}

constexpr std::size_t kMany = test::kSanitized ? 500 : 2000;

class Slabs : public testing::TestWithParam<std::size_t> {
 protected:
  void SetUp() override { trim(); }
  void TearDown() override {
    trim();
    expect_consistent();
  }
};

TEST_P(Slabs, CountedExactly) {
  std::size_t const size = GetParam();
  std::uint64_t const before = census().in_use(size);
  for (std::size_t const count :
       {std::size_t{1}, std::size_t{2}, std::size_t{3}, std::size_t{10}, std::size_t{100}, kMany}) {
    std::vector<Block> blocks = test::make_blocks(count, size, count);
    EXPECT_EQ(census().in_use(size), before + count);
    expect_consistent();
    test::free_blocks(blocks);
    EXPECT_EQ(census().in_use(size), before);
    expect_consistent();
  }
}

TEST_P(Slabs, BlocksDoNotTouchEachOther) {
  std::vector<Block> blocks = test::make_blocks(500, GetParam(), 1);
  std::sort(blocks.begin(), blocks.end(), [](Block const& a, Block const& b) { return a.at < b.at; });
  for (std::size_t i = 1; i < blocks.size(); ++i) {
    ASSERT_GE(static_cast<std::size_t>(blocks[i].at - blocks[i - 1].at), ladder_step(GetParam()));
  }
  test::free_blocks(blocks);
}

TEST_P(Slabs, EverythingGoesBack) {
  std::uint64_t const held = g_budget.held();
  std::vector<Block> blocks = test::make_blocks(kMany, GetParam(), 2);
  std::uint64_t const needed = g_budget.held() - held;
  EXPECT_GE(needed + 2 * kPage, kMany * ladder_step(GetParam()));
  EXPECT_LE(needed, kMany * ladder_step(GetParam()) * 9 / 8 + kMiB) << "carved as needed";
  test::free_blocks(blocks);
  trim();
  EXPECT_EQ(census().slabs(GetParam()), 0u);
  EXPECT_LE(g_budget.held(), held);
}

TEST_P(Slabs, HolesAreFilledFirst) {
  std::vector<Block> blocks = test::make_blocks(kMany / 2, GetParam(), 3);
  std::uint64_t const held = g_budget.held();
  for (std::size_t step = 2; step <= 5; ++step) {
    std::vector<Block> kept;
    std::size_t freed = 0;
    for (std::size_t i = 0; i < blocks.size(); ++i) {
      if (i % step != 0) {
        kept.push_back(blocks[i]);
        continue;
      }
      ASSERT_TRUE(test::intact(blocks[i]));
      deallocate(blocks[i].at);
      ++freed;
    }
    expect_consistent();
    std::vector<Block> const more = test::make_blocks(freed, GetParam(), 100 * step);
    EXPECT_LE(g_budget.held(), held) << "fresh memory, though there were holes";
    expect_consistent();
    blocks = kept;
    blocks.insert(blocks.end(), more.begin(), more.end());
  }
  test::free_blocks(blocks);
}

TEST_P(Slabs, RandomOrder) {
  test::Random random(7 + GetParam());
  std::vector<Block> blocks;
  std::uint64_t const before = census().in_use(GetParam());
  for (int i = 0; i < test::rounds(20'000); ++i) {
    if (blocks.size() < 800 && (blocks.empty() || random.one_in(2) || i % 4000 < 800)) {
      blocks.push_back({static_cast<char*>(allocate(GetParam())), GetParam(), random.next()});
      test::write(blocks.back());
    } else {
      std::swap(blocks[random.below(blocks.size())], blocks.back());
      ASSERT_TRUE(test::intact(blocks.back()));
      deallocate(blocks.back().at);
      blocks.pop_back();
    }
    if (i % 1024 == 0) {
      ASSERT_TRUE(engine_is_valid());
      ASSERT_EQ(census().in_use(GetParam()), before + blocks.size());
    }
  }
  test::free_blocks(blocks);
}

TEST_P(Slabs, ListsAreBounded) {
  for (int round = 0; round < 10; ++round) {
    std::vector<Block> blocks = test::make_blocks(kMany, GetParam(), 5);
    test::free_blocks(blocks);
  }
  SizeClass const& c = g_classes.classes[serving_class(GetParam())];
  Bin const& bin = t_thread.heap->bins[serving_class(GetParam())];
  EXPECT_LE(bin.limit, static_cast<std::int32_t>(c.last_limit));
  std::uint64_t length = 0;
  for (FreeBlock const* block = bin.head; block != nullptr; block = block->next) ++length;
  EXPECT_LE(length, c.last_limit);
  EXPECT_EQ(census().classes[c.block].in_lists, length);
  EXPECT_EQ(static_cast<std::int64_t>(bin.limit) - bin.room, static_cast<std::int64_t>(length));
}

TEST_P(Slabs, TheLastFreedComesFirst) {
  void* const a = allocate(GetParam());
  void* const b = allocate(GetParam());  // leaves room for one in the list
  deallocate(b);
  EXPECT_EQ(allocate(GetParam()), b);
  deallocate(a);
  EXPECT_EQ(allocate(GetParam()), a);
  deallocate(a);
  deallocate(b);
}

INSTANTIATE_TEST_SUITE_P(Sizes, Slabs, testing::Values(1, 16, 48, 100, 256, 1000, 1024, 2500, 4096, 7000, 16384, 32768),
                         testing::PrintToStringParamName());

// The checker sees what it is there to see.
TEST(Validity, BrokenSlabsAreFound) {
  std::vector<Block> blocks = test::make_blocks(400, 80, 8);
  for (std::size_t i = 0; i < blocks.size(); i += 3) deallocate(blocks[i].at);
  Slab* listed = nullptr;
  for (Block const& block : blocks) {
    if (slab_of(block.at)->listed) listed = slab_of(block.at);
  }
  ASSERT_NE(listed, nullptr) << "all freed blocks fitted into the list";
  ASSERT_TRUE(engine_is_valid());
  auto const expect_broken = [](auto& field, auto wrong) {
    auto const right = field;
    field = wrong;
    EXPECT_FALSE(engine_is_valid());
    field = right;
    EXPECT_TRUE(engine_is_valid());
  };
  expect_broken(listed->countdown, listed->countdown + 1);
  expect_broken(listed->countdown, listed->countdown - 1);
  expect_broken(listed->countdown, 0u);
  expect_broken(listed->listed, false);
  expect_broken(listed->free, listed->free->next);
  expect_broken(listed->free->next, reinterpret_cast<FreeBlock*>(reinterpret_cast<char*>(listed->free) + 16));
  expect_broken(listed->heap, &g_shared_heap);
  expect_broken(listed->slots, 0u);
  g_budget.charge_anyhow(kPage);
  EXPECT_FALSE(engine_is_valid()) << "charged without a page";
  g_budget.release(kPage);
  for (std::size_t i = 0; i < blocks.size(); ++i) {
    if (i % 3 != 0) deallocate(blocks[i].at);
  }
  expect_consistent();
}

TEST(SlowPath, SignalHandlersThatInterruptIt) {
  // As a handler finds it: its thread is in the slow path.
  std::vector<void*> own, spans;
  for (int i = 0; i < 2000; ++i) own.push_back(allocate(72));
  for (int i = 0; i < 20; ++i) spans.push_back(allocate(100'000));
  std::vector<Block> foreign;
  std::thread([&] { foreign = test::make_blocks(500, 264, 9); }).join();
  std::uint64_t const in_use = census().in_use(72), in_use_foreign = census().in_use(264);
  std::uint64_t const large = census().all.large_bytes;

  t_thread.busy = true;
  t_thread.heap = &g_no_heap;
  errno = 0;
  EXPECT_EQ(allocate(1 << 20), nullptr);  // alone.cpp has nothing to give
  EXPECT_EQ(errno, ENOMEM);
  for (void* const p : own) deallocate(p);
  for (void* const p : spans) deallocate(p);
  for (Block const& block : foreign) deallocate(block.at);
  EXPECT_FALSE(trim());
  t_thread.heap = t_thread.own;
  t_thread.busy = false;
  EXPECT_TRUE(engine_is_valid());

  // The next slow paths of any thread free what was put aside.
  for (int i = 0; i < 3; ++i) deallocate(allocate(500'000));
  trim();
  EXPECT_EQ(census().in_use(72), in_use - own.size());
  EXPECT_EQ(census().in_use(264), in_use_foreign - foreign.size());
  EXPECT_EQ(census().all.large_bytes, large - 20 * ladder_step(100'000));
  expect_consistent();
}

TEST(SlowPath, ImpossibleRequests) {
  for (std::size_t const size : {std::size_t{PTRDIFF_MAX}, std::size_t{PTRDIFF_MAX} + 1, ~std::size_t{0}}) {
    errno = 0;
    EXPECT_EQ(allocate(size), nullptr);
    EXPECT_EQ(errno, ENOMEM);
    errno = 0;
    EXPECT_EQ(allocate_zeroed(size), nullptr);
    EXPECT_EQ(errno, ENOMEM);
    for (std::size_t const alignment : {std::size_t{32}, std::size_t{kPage}, std::size_t{1} << 62}) {
      errno = 0;
      EXPECT_EQ(allocate_aligned(size, alignment), nullptr);
      EXPECT_EQ(errno, ENOMEM);
    }
  }
  errno = 0;
  EXPECT_EQ(allocate_aligned(1, std::size_t{1} << 62), nullptr);
  EXPECT_EQ(errno, ENOMEM);
  expect_consistent();
}

}  // namespace
