// What the ancestor, stealthpool, promises: one test for each of its promises, under its own name for it.
#include "pools.hpp"

namespace {

using namespace pools;

TEST(Parity, New) {
  Pool const pool(10);
  EXPECT_EQ(pool.max_blocks(), 10u);
  EXPECT_EQ(pool.block_size(), 4096u);
  EXPECT_EQ(pool.alloc_count(), 0u);
  EXPECT_EQ(pool.free_count(), 0u);
}

TEST(Parity, WithBlockSize) {
  for (std::size_t const size : {std::size_t{1}, std::size_t{24}, std::size_t{100}, std::size_t{3000},
                                 std::size_t{4096}, std::size_t{5000}, std::size_t{1} << 20}) {
    Pool pool(5, {.block_size = size});
    std::set<std::byte*> starts;
    for (Block& block : take(pool, 5)) {
      EXPECT_EQ(block.size(), size);
      std::memset(block.data(), 0x5a, size);
      auto const at = reinterpret_cast<std::uintptr_t>(block.data());
      EXPECT_EQ(at % std::min(size & (~size + 1), std::size_t{4096}), 0u) << size;
      if (size >= 4096) {
        EXPECT_EQ(at % 4096, 0u) << size;
      }
      starts.insert(block.data());
      static_cast<void>(block.release());
    }
    ASSERT_EQ(starts.size(), 5u);
    EXPECT_GE(static_cast<std::size_t>(*std::next(starts.begin()) - *starts.begin()), size) << "no two overlap";
    EXPECT_EQ(pool.in_use(), 5u);
    for (std::byte* const start : starts) EXPECT_FALSE(error_of_put(pool, {start, size}));
  }
}

TEST(Parity, WithPreAlloc) {
  Pool pool(20, {.preallocate = 10});
  EXPECT_EQ(pool.alloc_count(), 10u);
  EXPECT_EQ(pool.free_count(), 10u);
  EXPECT_EQ(pool.in_use(), 0u);
  auto const blocks = take(pool, 10);
  EXPECT_EQ(pool.alloc_count(), 10u);
  EXPECT_EQ(pool.free_count(), 0u);
  for (Block const& block : blocks) EXPECT_TRUE(is_resident(block.data())) << "touched beforehand";
  EXPECT_FALSE(error_of_get(pool));
  EXPECT_EQ(pool.alloc_count(), 11u);
}

TEST(Parity, WithPreAllocOfAll) {
  Pool pool(10, {.preallocate = 10});
  auto const blocks = take(pool, 10);
  EXPECT_EQ(error_of_get(pool), errc::pool_full);
}

TEST(Parity, Get) {
  Pool pool(2);
  Block const block = pool.get();
  ASSERT_NE(block.data(), nullptr);
  EXPECT_EQ(block.span().size(), 4096u);
  EXPECT_EQ(pool.alloc_count(), 1u);
  EXPECT_EQ(pool.free_count(), 0u);
  std::error_code error = errc::pool_full;
  Block const other = pool.get(error);
  EXPECT_FALSE(error);
  EXPECT_NE(other.data(), block.data());
}

TEST(Parity, Return) {
  Pool pool(2);
  std::span<std::byte> const block = pool.get().release();
  EXPECT_EQ(pool.free_count(), 0u);
  pool.put(block);
  EXPECT_EQ(pool.free_count(), 1u);
  EXPECT_EQ(pool.alloc_count(), 1u);
}

TEST(Parity, ReturnOfAPartOrMore) {
  Pool pool(3);
  std::span<std::byte> const block = pool.get().release();
  for (auto const wrong : {block.first(4095), block.last(4095), block.subspan(1), block.first(0),
                           std::span<std::byte>(block.data(), 4097), std::span<std::byte>(block.data(), 8192),
                           std::span<std::byte>(block.data() + 4096, 4096), std::span<std::byte>()}) {
    EXPECT_EQ(error_of_put(pool, wrong), errc::invalid_block);
    EXPECT_EQ(pool.in_use(), 1u);
    EXPECT_EQ(pool.free_count(), 0u);
    EXPECT_EQ(pool.alloc_count(), 1u);
  }
  EXPECT_THROW(pool.put(block.subspan(16)), std::system_error);
  EXPECT_FALSE(error_of_put(pool, block));
}

TEST(Parity, ReturnOfAForeignBlock) {
  Pool pool(3);
  Pool other(3);
  std::span<std::byte> const theirs = other.get().release();
  Block const mine = pool.get();
  std::vector<std::byte> heap(4096);
  EXPECT_EQ(error_of_put(pool, theirs), errc::invalid_block);
  EXPECT_EQ(error_of_put(pool, heap), errc::invalid_block);
  EXPECT_EQ(error_of_put(pool, {reinterpret_cast<std::byte*>(std::uintptr_t{1} << 63), 4096}), errc::invalid_block);
  EXPECT_EQ(pool.in_use(), 1u);
  EXPECT_EQ(other.in_use(), 1u);
  EXPECT_FALSE(error_of_put(other, theirs));
}

// The ancestor gave such a block to two owners.
TEST(Parity, ReturnTwice) {
  Pool pool(3);
  std::span<std::byte> const block = pool.get().release();
  EXPECT_FALSE(error_of_put(pool, block));
  EXPECT_EQ(error_of_put(pool, block), errc::invalid_block);
  EXPECT_EQ(pool.free_count(), 1u);
  Block const first = pool.get();
  Block const second = pool.get();
  EXPECT_EQ(first.data(), block.data());
  EXPECT_NE(second.data(), block.data());
}

TEST(Parity, ReturnOfWhatWasNeverGiven) {
  Pool pool(3, {.preallocate = 3});
  Block const first = pool.get();
  EXPECT_EQ(error_of_put(pool, {first.data() + 4096, 4096}), errc::invalid_block);
  EXPECT_EQ(pool.free_count(), 2u);
}

TEST(Parity, FreeCountAndAllocCount) {
  Pool pool(100);
  auto blocks = take(pool, 60);
  EXPECT_EQ(pool.alloc_count(), 60u);
  EXPECT_EQ(pool.free_count(), 0u);
  for (std::size_t left = 60; left-- > 0;) {
    blocks.pop_back();
    ASSERT_EQ(pool.free_count(), 60 - left);
    ASSERT_EQ(pool.alloc_count(), 60u);
    ASSERT_EQ(pool.in_use(), left);
  }
  blocks = take(pool, 100);
  EXPECT_EQ(pool.alloc_count(), 100u);
  EXPECT_EQ(pool.free_count(), 0u);
  EXPECT_EQ(pool.high_water(), 100u);
  expect_sane(pool);
}

TEST(Parity, Close) {
  Pool pool(10, {.preallocate = 4});
  Block block = pool.get();
  std::byte* const at = block.data();
  std::memset(at, 1, 4096);
  block.reset();
  pool.close();
  EXPECT_EQ(pool.free_count(), 0u);
  EXPECT_EQ(pool.alloc_count(), 0u);
  EXPECT_EQ(pool.in_use(), 0u);
  EXPECT_EQ(error_of_get(pool), errc::pool_closed);
  EXPECT_EQ(error_of_put(pool, {at, 4096}), errc::pool_closed);
  std::error_code error;
  EXPECT_FALSE(pool.get_for(std::chrono::hours(1), error));
  EXPECT_EQ(error, errc::pool_closed);
  std::vector<Block> two(2);
  pool.get_bulk(two, error);
  EXPECT_EQ(error, errc::pool_closed);
  pool.put_bulk(two, error);
  EXPECT_EQ(error, errc::pool_closed);
  EXPECT_EQ(pool.trim(), 0u);
  EXPECT_FALSE(pool.owns(at));
  EXPECT_THROW(static_cast<void>(pool.get()), std::system_error);
}

TEST(Parity, CloseTwice) {
  Pool pool(10);
  static_cast<void>(pool.get());
  pool.close();
  pool.close();
  EXPECT_EQ(error_of_get(pool), errc::pool_closed);
}

TEST(Parity, StaleUseFaults) {
  Pool pool(10);
  std::byte* const at = pool.get().data();
  pool.close();
  expect_fault(at);
  // Its addresses are not anybody else's soon.
  std::vector<Pool> others;
  for (int i = 0; i < 20; ++i) {
    others.emplace_back(10);
    static_cast<void>(others.back().get());
  }
  expect_fault(at);
}

TEST(Parity, ErrPoolFull) {
  Pool pool(2);
  Block const first = pool.get();
  Block second = pool.get();
  std::error_code error;
  EXPECT_EQ(pool.get(error).data(), nullptr);
  EXPECT_EQ(error, errc::pool_full);
  try {
    static_cast<void>(pool.get());
    ADD_FAILURE() << "nothing thrown";
  } catch (std::system_error const& caught) {
    EXPECT_EQ(caught.code(), errc::pool_full);
    EXPECT_NE(std::string(caught.what()).find("stealth::Pool::get: pool full: "), std::string::npos) << caught.what();
  }
  second.reset();
  EXPECT_FALSE(error_of_get(pool));
}

TEST(Parity, ErrPreallocOutOfBounds) {
  std::uint64_t const before = held_by_pools();
  std::error_code error;
  Pool const none(10, {.preallocate = 11}, error);
  EXPECT_EQ(error, errc::prealloc_out_of_bounds);
  EXPECT_EQ(none.handle(), nullptr);
  EXPECT_THROW(Pool(10, {.preallocate = std::size_t{1} << 40}), std::system_error);
  EXPECT_EQ(held_by_pools(), before);
}

TEST(Parity, ErrInvalidBlock) {
  Pool pool(1);
  try {
    pool.put(std::span<std::byte>());
    ADD_FAILURE() << "nothing thrown";
  } catch (std::system_error const& caught) {
    EXPECT_EQ(caught.code(), errc::invalid_block);
  }
}

TEST(Parity, ABlockIsReusedMostRecentFirst) {
  Pool pool(500);
  std::vector<std::byte*> in_order;
  for (Block& block : take(pool, 500)) in_order.push_back(block.release().data());
  for (std::byte* const block : in_order) pool.put({block, 4096});
  for (std::size_t i = 500; i-- > 0;) ASSERT_EQ(pool.get().release().data(), in_order[i]) << i;
}

TEST(Parity, SafeForConcurrentUse) {
  constexpr int kThreads = 4;
  Pool pool(kThreads * 4);
  in_threads(kThreads, [&](int me) {
    for (int i = 0; i < rounds(20000); ++i) {
      Block const block = pool.get();
      auto* const at = reinterpret_cast<int*>(block.data());
      *at = me;
      if (i % 16 == 0) std::this_thread::yield();
      ASSERT_EQ(*at, me);
    }
  });
  EXPECT_EQ(pool.in_use(), 0u);
  EXPECT_LE(pool.high_water(), std::size_t{kThreads});
  expect_sane(pool);
}

}  // namespace
