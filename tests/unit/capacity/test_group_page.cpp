// The page that members share, without members: cells, sums, and what makes it unusable.
#include <gtest/gtest.h>

#include <cstring>
#include <memory>

#include "members.hpp"

namespace {

using namespace stealth;
using os::ProcessMark;
using test::word_of;

constexpr os::ProcessWorld kWorld = {1, 2, 3};

// As a file is that was just made.
std::unique_ptr<GroupPage> fresh_page() {
  auto page = std::make_unique<GroupPage>();
  std::memset(static_cast<void*>(page.get()), 0, sizeof(GroupPage));
  page->identity = GroupIdentity::of(kWorld);
  return page;
}

TEST(GroupPage, Identity) {
  GroupIdentity const wanted = GroupIdentity::of(kWorld);
  auto const page = fresh_page();
  EXPECT_TRUE(page->is_usable(wanted));
  for (std::size_t i = 0; i < sizeof(GroupIdentity); ++i) {
    reinterpret_cast<unsigned char*>(page.get())[i] ^= 0x10;
    EXPECT_FALSE(page->is_usable(wanted)) << i;
    reinterpret_cast<unsigned char*>(page.get())[i] ^= 0x10;
  }
  EXPECT_TRUE(page->is_usable(wanted));
  page->used_cells = GroupPage::kCells;
  page->shares[GroupPage::kCells - 1] = word_of(GroupPage::kMostShare);
  EXPECT_TRUE(page->is_usable(wanted));
  page->shares[GroupPage::kCells - 1] = word_of(GroupPage::kMostShare + 1);
  EXPECT_FALSE(page->is_usable(wanted));
  page->shares[GroupPage::kCells - 1] = word_of(0);
  page->used_cells = GroupPage::kCells + 1;
  EXPECT_FALSE(page->is_usable(wanted));
}

TEST(GroupPage, Cells) {
  auto const page = fresh_page();
  EXPECT_EQ(page->take_cell(ProcessMark(1, 1, 1)), 0);
  EXPECT_EQ(page->take_cell(ProcessMark(2, 2, 2)), 1);
  page->shares[0] = word_of(10);
  page->shares[1] = word_of(20);
  EXPECT_EQ(page->sum(), 30u);
  EXPECT_EQ(page->members(), 2u);
  EXPECT_EQ(page->empty(0), 10u);
  EXPECT_EQ(page->sum(), 20u);
  EXPECT_EQ(page->members(), 1u);
  page->shares[0] = word_of(99);  // somebody scribbled
  EXPECT_EQ(page->take_cell(ProcessMark(3, 3, 3)), 0);
  EXPECT_EQ(page->share(0), 0u);
  EXPECT_FALSE(page->take_over(1, ProcessMark(3, 3, 3), ProcessMark(4, 4, 4)));
  EXPECT_TRUE(page->take_over(1, ProcessMark(2, 2, 2), ProcessMark(4, 4, 4)));
  EXPECT_EQ(page->owner(1), ProcessMark(4, 4, 4));
  EXPECT_EQ(page->share(1), 20u);
}

// Each write changes the word, whatever the share is: who has read an older word cannot replace it.
TEST(GroupPage, Words) {
  auto const page = fresh_page();
  std::uint64_t word = 0;
  for (int i = 0; i < 5000; ++i) {
    std::uint64_t const next = GroupPage::next_word(word, 42);
    ASSERT_NE(next, word);
    page->shares[3] = word = next;
    ASSERT_EQ(page->share(3), 42u);
  }
  page->shares[3] = GroupPage::next_word(word, GroupPage::kMostShare);
  EXPECT_EQ(page->share(3), GroupPage::kMostShare);
}

TEST(GroupPage, AllTaken) {
  auto const page = fresh_page();
  for (std::uint32_t i = 0; i < GroupPage::kCells; ++i) {
    EXPECT_EQ(page->take_cell(ProcessMark(7, i + 1, 1)), static_cast<int>(i));
    page->shares[i] = word_of(2);
  }
  EXPECT_EQ(page->take_cell(ProcessMark(8, 8, 8)), -1);
  EXPECT_EQ(page->sum(), 2 * GroupPage::kCells);
  EXPECT_EQ(page->members(), GroupPage::kCells);
  page->empty(500);
  EXPECT_EQ(page->take_cell(ProcessMark(8, 8, 8)), 500);
}

TEST(GroupPage, SumsCannotOverflowNorRunAway) {
  auto const page = fresh_page();
  std::memset(static_cast<void*>(page.get()), 0xFF, sizeof(GroupPage));
  EXPECT_EQ(page->sum(), GroupPage::kCells * GroupPage::kMostShare);
  EXPECT_EQ(page->members(), GroupPage::kCells);
  EXPECT_FALSE(page->is_usable(GroupIdentity::of(kWorld)));
}

// No cell has two owners, and none is lost.
TEST(GroupPage, CellsUnderThreads) {
  auto const page = fresh_page();
  std::atomic<int> holders[GroupPage::kCells] = {};
  test::in_threads(4, [&](int index) {
    test::Random random(static_cast<std::uint64_t>(index) + 1);
    ProcessMark const mark(index + 1, 1, 1);
    std::vector<int> mine;
    for (int i = 0; i < test::rounds(50'000); ++i) {
      if (mine.size() > 3 || (!mine.empty() && random.one_in(2))) {
        auto const cell = static_cast<std::uint32_t>(mine.back());
        mine.pop_back();
        ASSERT_EQ(page->owner(cell), mark);
        ASSERT_EQ(--holders[cell], 0);
        ASSERT_EQ(page->empty(cell), static_cast<std::uint64_t>(index));
        continue;
      }
      int const cell = page->take_cell(mark);
      ASSERT_GE(cell, 0);
      ASSERT_EQ(++holders[cell], 1);
      page->shares[cell] = word_of(static_cast<std::uint64_t>(index));
      mine.push_back(cell);
    }
    for (int const cell : mine) --holders[cell], page->empty(static_cast<std::uint32_t>(cell));
  });
  EXPECT_EQ(page->members(), 0u);
  EXPECT_EQ(page->sum(), 0u);
  // Never more than 16 are taken; who was held up on its way to a free one may go a little further than that.
  EXPECT_LE(page->used_cells, 64u) << "the lowest free cell is taken";
}

}  // namespace
