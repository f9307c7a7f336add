// Pages inside of slabs: given back where no block of them is in use, found again when they are wanted, by age and when
// the heap grows; contents, counts and charges stay right. Also when the kernel refuses.
#include <sys/mman.h>
#include <sys/syscall.h>

#include "engine.hpp"
#include "engine/hollow.hpp"
#include "fake_sys.hpp"

namespace {

using namespace stealth;
using test::Block;
using test::expect_consistent;

constexpr std::uint32_t kAll = ~std::uint32_t{0};

class Hollow : public testing::TestWithParam<std::size_t> {
 protected:
  void SetUp() override {
    fake::reset();
    trim();
    held_ = g_budget.held();
  }
  void TearDown() override {
    fake::reset();
    test::free_blocks(blocks_);
    trim();
    EXPECT_LE(g_budget.held(), held_);
    expect_consistent();
  }
  [[nodiscard]] std::uint32_t size_class() const { return serving_class(GetParam()); }
  [[nodiscard]] static Heap& heap() { return *t_thread.own; }

  // Blocks of some 2 MiB, of which one in `one_in` stays, here and there; the lists are empty then.
  void fill_and_thin(std::uint32_t one_in) {
    thinned_ += one_in;
    test::Random random(thinned_);
    std::vector<Block> all = test::make_blocks(2 * kMiB / GetParam() + 8, GetParam(), thinned_);
    for (Block const& block : all) {
      if (random.below(one_in) == 0) {
        blocks_.push_back(block);
      } else {
        deallocate(block.at);
      }
    }
    Hold hold(heap().lock);
    heap().flush_bin(size_class());
    heap().drain();
  }
  static std::uint32_t hollow_out(std::uint32_t ticks = 0, std::uint32_t most = kAll) {
    Hold hold(heap().lock);
    return heap().hollow_out(ticks, most);
  }
  [[nodiscard]] std::uint64_t hollow_blocks() const {
    std::uint64_t sum = 0;
    for (List<Slab> const* slabs : {&heap().classes[size_class()].partial, &heap().classes[size_class()].hollow}) {
      for (Slab const* slab = slabs->front(); slab != nullptr; slab = List<Slab>::next(slab))
        sum += slab->hollow_blocks;
    }
    return sum;
  }
  // Pages that are there, of all slabs that hold one of our blocks.
  [[nodiscard]] std::size_t resident() const {
    std::size_t pages = 0;
    std::size_t last = ~std::size_t{0};
    SizeClass const& c = g_classes.classes[size_class()];
    std::vector<std::size_t> slabs;
    for (Block const& block : blocks_)
      slabs.push_back((g_arena.offset_of(block.at) >> kSlotShift) & ~std::size_t{c.slots - 1});
    std::sort(slabs.begin(), slabs.end());
    for (std::size_t const slot : slabs) {
      if (slot == last) continue;
      last = slot;
      std::vector<unsigned char> there(c.slots * kPagesPerSlot);
      EXPECT_EQ(mincore(g_arena.memory_of(g_arena.run_at(slot)), c.slots * kSlot, there.data()), 0);
      for (unsigned char const one : there) pages += one & 1;
    }
    return pages * kPage;
  }

  std::vector<Block> blocks_;
  std::uint64_t held_ = 0, thinned_ = 0;
};

TEST_P(Hollow, FreePagesGoAndComeBack) {
  for (std::uint32_t const one_in : {40u, 400u}) {
    fill_and_thin(one_in);
    std::uint64_t const held = g_budget.held();
    std::uint32_t const slabs = hollow_out();
    expect_consistent();
    for (Block const& block : blocks_) ASSERT_TRUE(test::intact(block));
    if (one_in == 400 && GetParam() <= 8192) {
      EXPECT_GT(slabs, 0u);
      EXPECT_LT(g_budget.held(), held);
      EXPECT_GT(hollow_blocks(), 0u);
    }
    EXPECT_LE(resident(), g_budget.held());
    EXPECT_EQ(hollow_out(), 0u) << "nothing has come back since";

    // All that is hollow is used before fresh memory is.
    std::uint64_t const carved = heap().classes[size_class()].carved;
    std::uint64_t const count = hollow_blocks();
    std::vector<Block> again = test::make_blocks(count, GetParam(), 77);
    HeapClass const& mine = heap().classes[size_class()];
    EXPECT_EQ(mine.carved, carved);
    expect_consistent();
    while (!mine.partial.empty() || !mine.hollow.empty()) again.push_back(test::make_blocks(1, GetParam(), 78)[0]);
    EXPECT_EQ(mine.carved, carved);
    EXPECT_EQ(g_budget.held(), held) << "all pages that went are charged again";
    for (Block const& block : blocks_) ASSERT_TRUE(test::intact(block));
    test::free_blocks(again);
    expect_consistent();
  }
}

// Whatever comes first: blocks back into hollow slabs, new ones out of them, hollowing out once more.
TEST_P(Hollow, AnyOrder) {
  test::Random random(GetParam());
  for (int step = 0; step < 12; ++step) {
    fill_and_thin(20 + 30 * static_cast<std::uint32_t>(step));
    static_cast<void>(hollow_out(0, 1 + static_cast<std::uint32_t>(random.below(40))));
    ASSERT_TRUE(engine_is_valid());
    std::vector<Block> more = test::make_blocks(random.below(300), GetParam(), 5000 + static_cast<std::uint64_t>(step));
    while (blocks_.size() > 40) {
      std::size_t const i = random.below(blocks_.size());
      ASSERT_TRUE(test::intact(blocks_[i]));
      deallocate(blocks_[i].at);
      blocks_[i] = blocks_.back();
      blocks_.pop_back();
    }
    for (Block const& block : more) blocks_.push_back(block);
    ASSERT_TRUE(engine_is_valid());
  }
  expect_consistent();
}

TEST_P(Hollow, YoungSlabsAreLeftAlone) {
  fill_and_thin(400);
  EXPECT_EQ(hollow_out(2), 0u);
  g_tick.fetch_add(1);
  EXPECT_EQ(hollow_out(2), 0u);
  g_tick.fetch_add(1);
  if (GetParam() <= 8192) {
    EXPECT_GT(hollow_out(2), 0u);
  }
}

TEST_P(Hollow, AFewAtATime) {
  fill_and_thin(400);
  std::uint32_t slabs = 0;
  while (std::uint32_t const now = hollow_out(0, 3)) {
    EXPECT_LE(now, 3u);
    slabs += now;
  }
  if (GetParam() <= 8192) {
    EXPECT_GT(slabs, GetParam() <= 1024 ? 3u : 0u) << "in all";
  }
  EXPECT_EQ(hollow_out(), 0u);
}

TEST_P(Hollow, TheKernelRefuses) {
  fill_and_thin(400);
  std::uint64_t const held = g_budget.held();
  fake::fail(SYS_madvise, 1, EAGAIN, fake::kForEver);
  EXPECT_EQ(hollow_out(), 0u);
  EXPECT_EQ(g_budget.held(), held);
  EXPECT_EQ(hollow_blocks(), 0u);
  expect_consistent();
  fake::reset();
  for (Block const& block : blocks_) ASSERT_TRUE(test::intact(block));
}

INSTANTIATE_TEST_SUITE_P(Sizes, Hollow,
                         testing::Values(16, 48, 112, 320, 768, 1024, 1792, 4096, 5120, 8192, 14336, 32768),
                         testing::PrintToStringParamName());

// What grows gives back first: the peak stays near what is in use.
TEST(HollowGrowth, LowersThePeak) {
  test::in_a_child([] {
    std::uint64_t const live = 16 * kMiB;
    test::Random random(3);
    std::vector<void*> blocks;
    for (std::size_t const size : {48u, 96u, 160u, 256u, 384u, 640u, 1024u}) {
      for (std::uint64_t bytes = 0; bytes < live; bytes += size) blocks.push_back(allocate(size));
      for (std::size_t i = blocks.size() - 1; i > 0; --i) std::swap(blocks[i], blocks[random.below(i + 1)]);
      std::size_t const keep = blocks.size() / 200;
      while (blocks.size() > keep) {
        deallocate(blocks.back());
        blocks.pop_back();
      }
    }
    EXPECT_LT(g_budget.peak_held(), 3 * live);
    expect_consistent();
  });
}

}  // namespace
