// The sizes and alignments at which one kind of memory ends and the next begins, and those that nobody can have.
#include <set>

#include "guarded.hpp"

namespace {

using namespace stealth;
using test::Owned;

// Around each place where a block's length, a page, a slot or the kind of memory changes; with a canary or without.
std::set<std::size_t> border_sizes() {
  std::set<std::size_t> sizes = {0, 1, 2, 7};
  auto const around = [&](std::size_t border) {
    for (std::size_t const less : {std::size_t{9}, std::size_t{8}, std::size_t{1}, std::size_t{0}}) {
      if (border >= less) sizes.insert(border - less);
    }
    sizes.insert(border + 1);
  };
  for (std::size_t size = 16; size <= kMaxSmall + 8 * kKiB; size = ladder_step(size + 1)) around(size);
  for (std::size_t size = kPage; size <= 16 * kPage; size += kPage) around(size);
  for (std::size_t const size : {5 * kSlot, 256 * kKiB, kMiB, 2 * kMiB}) around(size);
  sizes.insert({test::kMostPatterned, test::kMostPatterned + 1});
  return sizes;
}

class GuardBorders : public testing::Test {
 protected:
  void SetUp() override { live_ = test::live(); }
  void TearDown() override {
    EXPECT_EQ(test::live(), live_);
    test::expect_sound();
  }
  std::uint64_t live_ = 0;
};

TEST_F(GuardBorders, EverySize) {
  for (std::size_t const size : border_sizes()) {
    std::vector<Owned> blocks;
    for (int i = 0; i < (size > kMiB ? 1 : 3); ++i) {
      blocks.push_back(test::own_fresh(size));
      void* const zeroed = allocate_zeroed(size);
      ASSERT_TRUE(zeroed != nullptr && test::all_zero(zeroed, size)) << size;
      blocks.push_back(test::own(zeroed, size));
    }
    test::give_back(blocks);
    ASSERT_FALSE(HasFailure()) << size;
  }
}

// A freed small block is all zero, whoever had it; the pages of one of no bytes, and of a large one, cannot be touched.
TEST_F(GuardBorders, FreedBlocksAreZero) {
  for (std::size_t const size : border_sizes()) {
    if (size == 0 || size > kMaxSmall) continue;
    Owned const mine = test::own_fresh(size), another = test::own_fresh(size);
    test::give_back(mine);
    EXPECT_TRUE(test::all_zero(mine.at, size)) << size;
    std::thread([&] { test::give_back(another); }).join();
    EXPECT_TRUE(test::all_zero(another.at, size)) << size;
  }
}

TEST_F(GuardBorders, EveryAlignment) {
  for (std::size_t alignment = 1; alignment <= 4 * kMiB; alignment *= 2) {
    for (std::size_t const size : {std::size_t{0}, std::size_t{1}, std::size_t{24}, kPage - 1, kPage, kMaxSmall - 8,
                                   kMaxSmall, kMaxSmall + 1, std::size_t{100'000}}) {
      std::vector<Owned> blocks;
      for (int i = 0; i < 3; ++i) {
        auto* const p = static_cast<char*>(allocate_aligned(size, alignment));
        ASSERT_TRUE(p != nullptr && test::unwritten(p, size, size)) << size << " at " << alignment;
        blocks.push_back(test::own(p, size, alignment));
      }
      test::give_back(blocks);
      ASSERT_FALSE(HasFailure()) << size << " at " << alignment;
    }
  }
}

// From each size to those below and above: contents are kept, what is added is as nobody wrote it, and the old place is
// free.
TEST_F(GuardBorders, Resized) {
  std::set<std::size_t> const sizes = border_sizes();
  std::size_t from = 1;
  for (auto to = sizes.upper_bound(1); to != sizes.end() && *to <= 2 * kMiB + 1; ++to) {
    for (std::size_t const size : {*to, from}) {
      Owned const block = test::own_fresh(size == from ? *to : from);
      auto* const moved = static_cast<char*>(reallocate(block.at, size));
      ASSERT_NE(moved, nullptr);
      EXPECT_NE(moved, block.at) << "who goes on with the old address would not be found out";
      std::size_t const kept = std::min(size, block.size);
      EXPECT_TRUE(fuzz::holds(moved, kept, block.seed)) << block.size << " -> " << size;
      EXPECT_TRUE(test::unwritten(moved + kept, size - kept, size)) << block.size << " -> " << size;
      test::give_back(test::own(moved, size));
    }
    from = *to;
  }
  EXPECT_EQ(reallocate(allocate(100), 0), nullptr) << "a resize to nothing frees";
}

// Whatever is asked for, by whichever call, that cannot be had.
TEST_F(GuardBorders, BeyondEverything) {
  Owned const kept = test::own_fresh(100);
  auto const refused = [&](auto call, std::size_t size, std::size_t alignment) {
    asm("" : "+r"(size));
    errno = 0;
    ASSERT_EQ(call(size, alignment), nullptr) << size << " at " << alignment;
    ASSERT_EQ(errno, ENOMEM) << size << " at " << alignment;
    ASSERT_TRUE(kept.holds());
  };
  auto const every_call = [&](std::size_t size) {
    refused([](std::size_t bytes, std::size_t) { return allocate(bytes); }, size, 0);
    refused([](std::size_t bytes, std::size_t) { return allocate_zeroed(bytes); }, size, 0);
    refused([&](std::size_t bytes, std::size_t) { return reallocate(kept.at, bytes); }, size, 0);
    for (std::size_t alignment = 16; alignment <= 4 * kMiB; alignment *= 4)
      refused([](std::size_t bytes, std::size_t to) { return allocate_aligned(bytes, to); }, size, alignment);
  };
  constexpr auto kLargest = static_cast<std::size_t>(PTRDIFF_MAX);
  for (std::size_t const less : {0u, 1u, 15u, 16u, 4095u, 4096u, 8192u, 100'000u}) {
    every_call(kLargest - less);
    every_call(kLargest + less + 1);
    every_call(~std::size_t{0} - less);
  }
  for (std::size_t bit = 35; bit < 63; ++bit) {
    for (std::size_t const more : {0u, 1u, 16u, 4096u, 100'000u}) every_call((std::size_t{1} << bit) + more);
  }
  for (std::size_t bit = 35; bit < 63; ++bit) {
    for (std::size_t const size : {0u, 1u, 40'000u})
      refused([](std::size_t bytes, std::size_t to) { return allocate_aligned(bytes, to); }, size,
              std::size_t{1} << bit);
  }
  test::give_back(kept);
}

// Pages that stand around large memory cannot be touched, nor what malloc(0) gives.
TEST(GuardBordersDeathTest, PagesAreClosed) {
  auto const touch = [](char const* at) { return *static_cast<char const volatile*>(at); };
  std::size_t const page = os::page_size();
  auto* const nothing = static_cast<char*>(allocate(0));
  EXPECT_DEATH(touch(nothing), "");
  for (std::size_t const size : {2 * kMiB, kMaxSmall + page}) {
    auto* const span = static_cast<char*>(allocate(size));
    ASSERT_TRUE(test::aligned_to(span, page));
    EXPECT_EQ(touch(span), touch(span + size - 1));
    EXPECT_DEATH(touch(span - 1), "") << size;
    EXPECT_DEATH(touch(span - page), "") << size;
    EXPECT_DEATH(touch(span + size), "") << size;
    deallocate(span);
    for (std::size_t const at : {std::size_t{0}, size / 2, size - 1}) EXPECT_DEATH(touch(span + at), "") << size;
  }
  auto* const aligned = static_cast<char*>(allocate_aligned(2 * kMiB, 2 * kMiB));
  EXPECT_DEATH(touch(aligned + 2 * kMiB), "");
  deallocate(aligned);
  deallocate(nothing);
}

}  // namespace
