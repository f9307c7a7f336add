// Call stacks, each kept once, in a table of a fixed size.
#include <gtest/gtest.h>

#include <cerrno>
#include <cstdint>
#include <vector>

#include "engine/backtrace.hpp"
#include "fake_sys.hpp"
#include "observe/stacks.hpp"

namespace {

namespace fake = stealth::fake;
using stealth::kMostFrames;
using stealth::observe::Stacks;

std::vector<void*> frames_from(std::uintptr_t first, std::size_t depth) {
  std::vector<void*> frames;
  for (std::size_t i = 0; i < depth; ++i) frames.push_back(reinterpret_cast<void*>(first + i * 16));
  return frames;
}

std::uint32_t put(Stacks& stacks, std::vector<void*> const& frames) {
  return stacks.find_or_add(frames.data(), static_cast<std::uint32_t>(frames.size()));
}

TEST(Stacks, EqualOnesAreOne) {
  fake::Fresh const fresh;
  Stacks stacks;
  EXPECT_FALSE(stacks.is_there());
  ASSERT_TRUE(stacks.map());
  EXPECT_TRUE(stacks.is_there());
  EXPECT_EQ(stacks.count(), 1u) << "the one without frames";
  std::vector<void*> const a = frames_from(0x1000, 5), b = frames_from(0x1000, 4), c = frames_from(0x1010, 5);
  std::uint32_t const number = put(stacks, a);
  EXPECT_EQ(number, 1u);
  EXPECT_EQ(put(stacks, b), 2u);
  EXPECT_EQ(put(stacks, c), 3u);
  EXPECT_EQ(put(stacks, a), number);
  EXPECT_EQ(put(stacks, std::vector<void*>(a)), number);
  EXPECT_EQ(stacks.count(), 4u);
  EXPECT_EQ(stacks.at(number).depth, 5u);
  EXPECT_EQ(stacks.at(number).live, 0u);
  for (std::size_t i = 0; i < a.size(); ++i) EXPECT_EQ(stacks.frames_of(stacks.at(number))[i], a[i]);
  EXPECT_EQ(put(stacks, {}), 0u);
}

TEST(Stacks, NoMemory) {
  fake::Fresh const fresh;
  Stacks stacks;
  fake::fail(SYS_mmap, 1, ENOMEM);
  EXPECT_FALSE(stacks.map());
  EXPECT_FALSE(stacks.is_there());
}

TEST(Stacks, TheTableIsFull) {
  fake::Fresh const fresh;
  Stacks stacks;
  ASSERT_TRUE(stacks.map());
  std::vector<std::uint32_t> numbers;
  for (std::uintptr_t i = 0;; ++i) {
    std::uint32_t const number = put(stacks, frames_from(0x40'0000 + i, 2));
    if (number == 0) break;
    numbers.push_back(number);
    ASSERT_LT(i, 1u << 20) << "it has no end";
  }
  EXPECT_GE(numbers.size(), 30'000u);
  EXPECT_EQ(stacks.count(), numbers.size() + 1);
  for (std::uintptr_t i = 0; i < numbers.size(); ++i)
    ASSERT_EQ(put(stacks, frames_from(0x40'0000 + i, 2)), numbers[i]) << "those that are there are still found";
  EXPECT_EQ(put(stacks, frames_from(0x10, 1)), 0u);
}

TEST(Stacks, TheFramesAreFull) {
  fake::Fresh const fresh;
  Stacks stacks;
  ASSERT_TRUE(stacks.map());
  std::uint32_t before = 0;
  for (std::uintptr_t i = 0;; ++i) {
    std::uint32_t const number = put(stacks, frames_from(0x40'0000 + i, kMostFrames));
    if (number == 0) break;
    before = number;
    ASSERT_LT(i, 1u << 20) << "it has no end";
  }
  EXPECT_GE(before, 10'000u);
  std::uint32_t const last = put(stacks, frames_from(0x40'0000 + before - 1, kMostFrames));
  EXPECT_EQ(last, before);
  EXPECT_EQ(stacks.frames_of(stacks.at(last))[kMostFrames - 1],
            frames_from(0x40'0000 + before - 1, kMostFrames).back());
}

}  // namespace
