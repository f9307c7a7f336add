// Memory on its way back to the kernel: at no moment is more charged than there is, so whoever compares the two in
// between (capacity/budget.cpp) finds nothing missing, and lets nobody have it twice.
#include <algorithm>
#include <optional>

#include "buffers.hpp"
#include "fake_sys.hpp"

namespace {

using namespace buffers;
namespace fake = stealth::fake;

struct Range {
  std::byte* begin;
  std::size_t pages;
};
std::vector<Range> g_ranges;
std::size_t g_looks = 0, g_most_ahead = 0;

std::size_t page() { return static_cast<std::size_t>(sysconf(_SC_PAGESIZE)); }

std::size_t resident_in_ranges() {
  std::size_t pages = 0;
  for (Range const& range : g_ranges) {
    std::vector<unsigned char> there(range.pages);
    if (mincore(range.begin, range.pages * page(), there.data()) == 0) {
      for (unsigned char const one : there) pages += one & 1u;
    } else {  // some of it is not mapped
      for (std::size_t i = 0; i < range.pages; ++i) pages += is_resident(range.begin + i * page()) ? 1 : 0;
    }
  }
  return pages * page();
}

void look_at(long number, bool) {
  if (number != SYS_madvise && number != SYS_mmap && number != SYS_munmap && number != SYS_mprotect) return;
  ++g_looks;
  std::size_t const charged = held_by_pools(), there = resident_in_ranges();
  EXPECT_LE(charged, there) << "at call " << number;
  if (there > charged) g_most_ahead = std::max(g_most_ahead, there - charged);
}

class GoingBack : public testing::Test {
 protected:
  void TearDown() override {
    fake::tell(nullptr);
    g_ranges.clear();
    EXPECT_EQ(held_by_pools(), 0u);
  }
  // Whatever is done meanwhile gives memory back.
  template <class Action>
  static void while_looking(Action action) {
    ASSERT_LE(held_by_pools(), resident_in_ranges()) << "all of it was touched";
    g_looks = g_most_ahead = 0;
    fake::tell(look_at);
    action();
    fake::tell(nullptr);
    EXPECT_GT(g_looks, 0u);
    EXPECT_LE(g_most_ahead, 2 * kMiB + 64 * kKiB) << "those who are given the charge begin to use it";
  }
  // Of a pool whose blocks are all taken, and touched.
  static void watch(std::vector<Block> const& blocks) {
    auto const [first, last] = std::minmax_element(blocks.begin(), blocks.end(),
                                                   [](Block const& a, Block const& b) { return a.data() < b.data(); });
    for (Block const& block : blocks) std::memset(block.data(), 1, block.size());
    auto* const begin = reinterpret_cast<std::byte*>(reinterpret_cast<std::uintptr_t>(first->data()) / page() * page());
    std::byte* const end = last->data() + last->size();
    g_ranges.push_back({begin, (static_cast<std::size_t>(end - begin) + page() - 1) / page()});
  }
  static void watch(Buffer& buffer) {
    // A buffer is charged for some more than it holds: touched, too.
    std::size_t const size = buffer.size();
    std::size_t const usable = size + std::min(size / 4, 256 * kKiB);
    buffer.extend(usable - size);
    std::memset(buffer.data(), 1, buffer.size());
    buffer.truncate(size);
    g_ranges.push_back({buffer.data(), (usable + 256 * kKiB) / page() + 1});
  }

  fake::Fresh fresh_;
};

constexpr std::size_t kSizes[] = {100, 3000, 4096, 8192, 50000, kMiB, 3 * kMiB + 4096};
std::size_t blocks_of(std::size_t size) { return std::max(std::size_t{4}, 12 * kMiB / size); }

TEST_F(GoingBack, CloseOfAPool) {
  for (std::size_t const size : kSizes) {
    Pool pool(blocks_of(size), {.block_size = size});
    auto blocks = take(pool, blocks_of(size));
    watch(blocks);
    blocks.clear();
    while_looking([&] { pool.close(); });
    EXPECT_EQ(held_by_pools(), 0u) << size;
    EXPECT_EQ(resident_in_ranges(), 0u) << size;
    g_ranges.clear();
  }
}

TEST_F(GoingBack, TrimOfAPool) {
  for (std::size_t const size : kSizes) {
    Pool pool(blocks_of(size), {.block_size = size});
    auto blocks = take(pool, blocks_of(size));
    watch(blocks);
    std::size_t const stay = blocks.size() / 3;
    Block const kept = std::move(blocks[stay]);
    blocks.clear();
    while_looking([&] { EXPECT_GT(pool.trim(), 0u); });
    EXPECT_GE(held_by_pools(), size);
    EXPECT_LE(held_by_pools(), size + 2 * page()) << size;
    while_looking([&] { pool.close(); });
    g_ranges.clear();
  }
}

TEST_F(GoingBack, APreallocationThatFails) {
  for (std::size_t const size : {std::size_t{100}, std::size_t{4096}, kMiB}) {
    fake::fail(SYS_madvise, 1, ENOMEM);  // touching it
    std::error_code error;
    Pool const pool(100, {.block_size = size, .preallocate = 100}, error);
    if (error) {
      EXPECT_EQ(error, errc::not_enough_memory);
    }
    fake::reset();
    EXPECT_EQ(held_by_pools(), error ? 0 : pool.stats().held);
  }
}

TEST_F(GoingBack, BuffersThatAreTooLargeToBeKept) {
  for (std::size_t const size : {100 * kKiB, kMiB, 7 * kMiB, 20 * kMiB}) {
    BufferPool pool(kMiB);
    Buffer buffer = pool.get();
    fill(buffer, size);
    watch(buffer);
    while_looking([&] { pool.put(std::move(buffer)); });
    EXPECT_EQ(held_by_pools(), 0u) << size;
    g_ranges.clear();
  }
}

TEST_F(GoingBack, WhatAnIdleBufferDoesNotKeep) {
  BufferPool pool(27 * kMiB);
  Buffer buffer = pool.get();
  fill(buffer, 9 * kMiB);
  watch(buffer);
  buffer.truncate(1000);
  while_looking([&] { pool.put(std::move(buffer)); });
  EXPECT_EQ(pool.stats().idle, 1u);
  EXPECT_LE(held_by_pools(), kMiB);
}

TEST_F(GoingBack, IdleBuffers) {
  for (int const how : {0, 1, 2}) {
    std::optional<BufferPool> pool(std::in_place, 100 * kMiB);
    std::vector<Buffer> buffers;
    for (int i = 0; i < 5; ++i) {
      buffers.push_back(pool->get());
      fill(buffers.back(), 3 * kMiB);
      watch(buffers.back());
    }
    buffers.clear();
    EXPECT_EQ(pool->stats().idle, 5u);
    while_looking([&] {
      if (how == 0) static_cast<void>(pool->trim());
      if (how == 1) pool->close();
      if (how == 2) pool.reset();
    });
    EXPECT_EQ(held_by_pools(), 0u);
    g_ranges.clear();
  }
}

}  // namespace
