// stealth_trim(): what is free in any pool and idle in any buffer pool goes back to the kernel.
#include <atomic>
#include <optional>

#include "buffers.hpp"

namespace {

using namespace buffers;

TEST(Trim, FreeBlocksAndIdleBuffersOfAllPools) {
  Pool first(100), second(10, {.block_size = 64 << 10, .preallocate = 10});
  BufferPool buffers(64 * kMiB), others(64 * kMiB);
  auto blocks = take(first, 50);
  for (Block& block : blocks) std::memset(block.data(), 7, block.size());
  blocks.resize(20);
  Buffer const kept = buffers.make_buffer(pattern(100000));
  static_cast<void>(buffers.make_buffer(pattern(200000)));
  static_cast<void>(others.make_buffer(pattern(300000)));
  EXPECT_EQ(buffers.stats().idle, 1u);
  std::uint64_t const before = held_by_pools();

  std::uint64_t const given_back = stealth::trim();
  EXPECT_GE(given_back, 30 * 4096 + 10 * (64 << 10) + 200000u + 300000u);
  EXPECT_EQ(held_by_pools(), before - given_back);
  EXPECT_EQ(first.free_count(), 0u);
  EXPECT_EQ(first.alloc_count(), 20u);
  EXPECT_EQ(second.alloc_count(), 0u) << "what was preallocated, too";
  EXPECT_EQ(buffers.stats().idle, 0u);
  EXPECT_EQ(others.stats().held, 0u);
  for (Block const& block : blocks) EXPECT_EQ(block.data()[4095], std::byte{7}) << "what is out stays";
  EXPECT_EQ(kept.slice(0, kept.size()), pattern(100000));

  EXPECT_EQ(stealth::trim(), 0u);
  EXPECT_EQ(stealth_trim(nullptr), STEALTH_OK);
  EXPECT_EQ(take(second, 10).size(), 10u) << "they can be had again";
}

TEST(Trim, PoolsThatAreClosedOrGone) {
  std::optional<Pool> gone(std::in_place, 10, PoolOptions{.preallocate = 10});
  Pool closed(10, {.preallocate = 10}), open(10, {.preallocate = 10});
  std::optional<BufferPool> buffers_gone(std::in_place, kMiB);
  BufferPool buffers_closed(kMiB);
  Buffer const outlives = buffers_gone->make_buffer("x"), stays = buffers_closed.make_buffer("y");
  gone.reset();
  closed.close();
  buffers_closed.close();
  Buffer* const out = new Buffer(buffers_gone->make_buffer("z"));
  delete out;
  EXPECT_EQ(buffers_gone->stats().idle, 1u);
  EXPECT_GE(stealth::trim(), 10 * 4096u);
  EXPECT_EQ(open.alloc_count(), 0u);
  EXPECT_EQ(outlives.text(), "x");
  EXPECT_EQ(stays.text(), "y");
}

TEST(Trim, WhilePoolsComeAndGo) {
  std::atomic<int> left{3};
  in_threads(4, [&](int me) {
    if (me == 0) {
      while (left != 0) static_cast<void>(stealth::trim());
      return;
    }
    for (int i = 0; i < rounds(300); ++i) {
      Pool pool(50, {.block_size = static_cast<std::size_t>(me) * 1000, .preallocate = 5});
      BufferPool buffers(kMiB);
      for (int k = 0; k < 20; ++k) {
        auto blocks = take(pool, 20);
        for (Block& block : blocks) std::memset(block.data(), me, block.size());
        Buffer buffer = buffers.make_buffer(pattern(30000, me));
        ASSERT_EQ(buffer.bytes()[29999], pattern(30000, me)[29999]);
        for (Block const& block : blocks) ASSERT_EQ(block.span().back(), static_cast<std::byte>(me));
      }
      EXPECT_EQ(pool.in_use(), 0u);
      expect_sane(pool);
    }
    --left;
  });
  EXPECT_EQ(held_by_pools(), 0u);
}

}  // namespace
