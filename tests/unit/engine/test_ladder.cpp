// The built-in classes: which block serves a size, how much is wasted, and the arithmetic that slabs rely on.
#include "engine.hpp"

namespace {

using namespace stealth;

TEST(Ladder, Steps) {
  for (std::size_t size = 1; size <= 2 * kMiB; ++size) {
    std::size_t const step = ladder_step(size);
    ASSERT_GE(step, size);
    ASSERT_EQ(step % kGranule, 0u) << size;
    ASSERT_EQ(ladder_step(step), step) << size;
    std::size_t const below = ladder_step_below(step);
    ASSERT_LT(below, size) << "a smaller step would do";
    if (below != 0) {
      ASSERT_EQ(ladder_step(below), below) << size;
      ASSERT_EQ(ladder_step(below + 1), step) << size;
    }
    ASSERT_LE(step - size, std::max(size / 4, kGranule - 1)) << size;
  }
}

TEST(Ladder, FourStepsToADoubling) {
  for (std::size_t power = 128; power < std::size_t{1} << 40; power *= 2) {
    std::size_t step = power;
    for (int i = 0; i < 4; ++i) step = ladder_step(step + 1);
    EXPECT_EQ(step, 2 * power);
    EXPECT_EQ(ladder_step_below(power + 1), power);
    EXPECT_EQ(ladder_step_below(2 * power), 2 * power - power / 4);
  }
  for (std::size_t size = 16; size <= 128; size += 16) EXPECT_EQ(ladder_step(size), size);
}

TEST(Ladder, TheSmallestClassThatHoldsIt) {
  EXPECT_EQ(class_of(0), class_of(1));
  for (std::size_t size = 1; size <= kMaxSmall; ++size) {
    std::uint32_t const c = class_of(size);
    ASSERT_NE(c, 0u) << size;
    ASSERT_LT(c, g_classes.count);
    ASSERT_EQ(g_classes.classes[c].block, ladder_step(size)) << size;
    for (std::uint32_t other = 1; other < g_classes.count; ++other) {
      std::size_t const block = g_classes.classes[other].block;
      ASSERT_FALSE(block >= size && block < g_classes.classes[c].block) << size;
    }
  }
}

TEST(Ladder, SlabsHoldTheirBlocks) {
  for (std::uint32_t i = 1; i < g_classes.count; ++i) {
    SizeClass const& c = g_classes.classes[i];
    EXPECT_EQ(c.block % kGranule, 0u);
    EXPECT_TRUE(is_power_of_two(c.slots)) << c.block;
    EXPECT_LE(c.slots, kLargestSlab);
    EXPECT_GE(c.capacity, 2u) << c.block;
    EXPECT_LE(std::size_t{c.capacity} * c.block, c.slots * kSlot);
    EXPECT_GT((std::size_t{c.capacity} + 1) * c.block, c.slots * kSlot);
    EXPECT_LE(c.slots * kSlot - std::size_t{c.capacity} * c.block, c.slots * kSlot / 8) << "wasted at the end";
    EXPECT_GE(c.first_limit, 2u);
    EXPECT_LE(c.first_limit, c.last_limit);
    EXPECT_FALSE(c.shared);
  }
}

TEST(Ladder, IndexByMultiplication) {
  for (std::uint32_t i = 1; i < g_classes.count; ++i) {
    SizeClass const& c = g_classes.classes[i];
    for (std::size_t offset = 0; offset < c.slots * kSlot; ++offset) {
      ASSERT_EQ(c.index_of(offset), offset / c.block) << c.block << " at " << offset;
    }
  }
}

// What allocate_aligned() stands on: from the size rounded up to the alignment on, there is a class that keeps it.
TEST(Ladder, AlignmentIsFoundAmongTheClasses) {
  for (std::size_t alignment = 16; alignment <= kMaxSmall; alignment *= 2) {
    for (std::size_t size = alignment; size <= kMaxSmall; size += alignment) {
      bool found = false;
      for (std::size_t wanted = size; wanted <= kMaxSmall && !found; wanted += alignment) {
        found = g_classes.classes[serving_class(wanted)].block % alignment == 0;
      }
      ASSERT_TRUE(found) << size << " at " << alignment;
    }
  }
}

TEST(Ladder, EverySizeIsServedAligned) {
  for (std::size_t size = 0; size <= 300'000; size += size < 2000 ? 1 : size < 40'000 ? 37 : 1237) {
    void* const p = allocate(size);
    ASSERT_NE(p, nullptr) << size;
    ASSERT_TRUE(test::aligned_to(p, 16)) << size;
    ASSERT_GE(usable_size(p), size);
    if (size <= kMaxListed) {
      ASSERT_EQ(usable_size(p), ladder_step(std::max(size, std::size_t{1})));
    } else {
      ASSERT_EQ(usable_size(p), align_up(size, kPage));
    }
    std::memset(p, 0x5A, usable_size(p));
    deallocate(p);
  }
}

TEST(Ladder, EveryAlignmentIsKept) {
  test::Random random(6);
  for (std::size_t alignment = 1; alignment <= kGiB; alignment *= 2) {
    for (std::size_t size : {std::size_t{0}, std::size_t{1}, std::size_t{17}, alignment - 1, alignment, alignment + 1,
                             1 + random.below(4000), 1 + random.below(100'000)}) {
      size = std::min(size, 64 * kMiB);
      void* p[3];
      for (void*& one : p) {
        one = allocate_aligned(size, alignment);
        ASSERT_NE(one, nullptr) << size << " at " << alignment;
        EXPECT_TRUE(test::aligned_to(one, alignment)) << size << " at " << alignment;
        ASSERT_GE(usable_size(one), size);
        std::memset(one, 0x5A, std::min(size, std::size_t{100'000}));
      }
      for (void* const one : p) deallocate(one);
    }
  }
  test::expect_consistent();
}

}  // namespace
