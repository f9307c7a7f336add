// What pools do beyond the ancestor: RAII, timed and bulk calls, options, figures, and misuse.
#include <sys/resource.h>

#include <chrono>
#include <thread>

#include "pools.hpp"

namespace {

using namespace pools;
using namespace std::chrono_literals;
using std::chrono::steady_clock;
using stealth::test::ms_since;

constexpr std::size_t kMiB = 1 << 20;

// --- Block ---

TEST(Blocks, GoBackWhenTheyDie) {
  Pool pool(1);
  {
    Block const block = pool.get();
    EXPECT_EQ(pool.in_use(), 1u);
  }
  EXPECT_EQ(pool.in_use(), 0u);
}

TEST(Blocks, Move) {
  Pool pool(2);
  Block first = pool.get();
  std::byte* const at = first.data();
  Block second = std::move(first);
  EXPECT_FALSE(first);  // NOLINT(bugprone-use-after-move): which is what is tested
  EXPECT_EQ(first.size(), 0u);
  EXPECT_EQ(second.data(), at);
  Block third = pool.get();
  third = std::move(second);
  EXPECT_EQ(third.data(), at);
  EXPECT_EQ(pool.in_use(), 1u) << "what it held went back";
  auto& same = third;
  third = std::move(same);
  EXPECT_EQ(third.data(), at);
  third = {};
  EXPECT_EQ(pool.in_use(), 0u);
  third.reset();
  EXPECT_TRUE(third.release().empty());
}

TEST(Blocks, PutByMove) {
  Pool pool(2);
  Pool other(2);
  Block block = pool.get();
  std::error_code error;
  other.put(std::move(block), error);
  EXPECT_EQ(error, errc::invalid_block);
  EXPECT_TRUE(block);  // NOLINT(bugprone-use-after-move): it was not taken
  pool.put(std::move(block), error);
  EXPECT_FALSE(error);
  EXPECT_FALSE(block);  // NOLINT(bugprone-use-after-move)
  EXPECT_EQ(pool.in_use(), 0u);
}

TEST(Blocks, OutliveClose) {
  std::string const said = in_a_child([] {
    Pool pool(2);
    Block block = pool.get();
    pool.close();
    block.reset();
    EXPECT_EQ(pool.alloc_count(), 0u);
  });
  EXPECT_EQ(said,
            "stealth: a pool was closed with 1 of its 2 blocks of 4096 bytes still out: touching them now ends the "
            "program; put them back first\n");
}

TEST(Blocks, OutliveTheirPool) {
  in_a_child([] {
    Block block;
    Block second;
    {
      Pool pool(2);
      block = pool.get();
      second = pool.get();
    }
    std::vector<Pool> others;
    for (int i = 0; i < 200; ++i) others.emplace_back(2);
    Block const theirs = others[0].get();
    block.reset();
    EXPECT_EQ(others[0].in_use(), 1u);
  });
}

// --- Pool ---

TEST(Pools, MoveWithTheirBlocks) {
  Pool first(2);
  Block const block = first.get();
  Pool second = std::move(first);
  EXPECT_EQ(second.in_use(), 1u);
  EXPECT_EQ(second.block_size(), 4096u);
  EXPECT_EQ(first.handle(), nullptr);  // NOLINT(bugprone-use-after-move): which is what is tested
  EXPECT_EQ(first.max_blocks(), 0u);
  EXPECT_EQ(error_of_get(first), errc::invalid_handle);
  EXPECT_EQ(error_of_put(first, block.span()), errc::invalid_handle);
  first.close();
  EXPECT_EQ(first.trim(), 0u);
  Pool third(1);
  third = std::move(second);
  EXPECT_EQ(third.in_use(), 1u);
  EXPECT_EQ(third.max_blocks(), 2u);
}

TEST(Pools, LeaksAreReportedWithTheirNumber) {
  EXPECT_EQ(in_a_child([] {
              Pool pool(10, {.block_size = 100});
              for (int i = 0; i < 3; ++i) static_cast<void>(pool.get().release());
            }),
            "stealth: a pool was closed with 3 of its 10 blocks of 100 bytes still out: touching them now ends the "
            "program; put them back first\n");
  EXPECT_EQ(in_a_child([] {
              Pool pool(10);
              static_cast<void>(pool.get());
            }),
            "");
}

TEST(Pools, MisuseIsAClearError) {
  auto const error_of = [](std::size_t max_blocks, PoolOptions const& options) {
    std::error_code error;
    Pool const pool(max_blocks, options, error);
    EXPECT_EQ(pool.handle() == nullptr, static_cast<bool>(error));
    return error;
  };
  std::uint64_t const before = held_by_pools();
  constexpr std::size_t kHuge = ~std::size_t{0};
  EXPECT_EQ(error_of(0, {}), errc::invalid_options);
  EXPECT_EQ(error_of(10, {.block_size = 0}), errc::invalid_options);
  EXPECT_EQ(error_of(kHuge, {}), errc::invalid_options);
  EXPECT_EQ(error_of(std::size_t{1} << 31, {.block_size = 1}), errc::invalid_options);
  EXPECT_EQ(error_of(1, {.block_size = kHuge}), errc::invalid_options);
  EXPECT_EQ(error_of(std::size_t{1} << 20, {.block_size = std::size_t{1} << 44}), errc::invalid_options);
  EXPECT_EQ(error_of(std::size_t{1} << 20, {.block_size = (std::size_t{1} << 44) + 1}), errc::invalid_options);
  EXPECT_EQ(error_of(10, {.alignment = 48}), errc::invalid_options);
  EXPECT_EQ(error_of(10, {.alignment = kHuge}), errc::invalid_options);
  EXPECT_EQ(error_of(std::size_t{1} << 20, {.alignment = std::size_t{1} << 46}), errc::invalid_options);
  EXPECT_EQ(error_of(10, {.preallocate = kHuge}), errc::prealloc_out_of_bounds);
  EXPECT_THROW(Pool(0), std::system_error);
  EXPECT_EQ(held_by_pools(), before);
}

TEST(Pools, SmallestAndLargest) {
  Pool one(1, {.block_size = 1});
  Block const block = one.get();
  EXPECT_EQ(block.size(), 1u);
  EXPECT_EQ(error_of_get(one), errc::pool_full);
  Pool many(std::size_t{1} << 29, {.block_size = 1});
  EXPECT_TRUE(many.get());
  std::size_t const size = std::size_t{1} << (stealth::test::kSanitized ? 34 : 40);
  Pool large(16, {.block_size = size});
  Block const whole = large.get();
  whole.span().back() = std::byte{1};
}

TEST(Pools, Owns) {
  Pool pool(4, {.block_size = 5000});
  Block first = pool.get();
  Block const second = pool.get();
  EXPECT_TRUE(pool.owns(first.data()));
  EXPECT_TRUE(pool.owns(first.data() + 4999));
  EXPECT_FALSE(pool.owns(first.data() + 5000)) << "behind the block, before the next";
  EXPECT_FALSE(pool.owns(first.data() - 1));
  EXPECT_FALSE(pool.owns(&pool));
  EXPECT_FALSE(pool.owns(nullptr));
  std::byte* const at = first.data();
  first.reset();
  EXPECT_FALSE(pool.owns(at)) << "it is free";
  EXPECT_FALSE(pool.owns(second.data() + 8192)) << "never given out";
}

TEST(Pools, HighWater) {
  Pool pool(100, {.preallocate = 50});
  EXPECT_EQ(pool.high_water(), 0u);
  for (std::size_t const at_once : {3u, 1u, 7u, 2u}) static_cast<void>(take(pool, at_once));
  EXPECT_EQ(pool.high_water(), 7u);
  static_cast<void>(take(pool, 60));
  EXPECT_EQ(pool.high_water(), 60u);
  pool.trim();
  static_cast<void>(take(pool, 20));
  EXPECT_EQ(pool.high_water(), 60u);
  EXPECT_EQ(pool.alloc_count(), 20u);
}

// --- waiting ---

TEST(Waiting, TakesTheFullTimeAlsoAlone) {
  Pool pool(1);
  Block const block = pool.get();
  auto const begin = steady_clock::now();
  std::error_code error;
  Block const none = pool.get_for(50ms, error);
  EXPECT_GE(steady_clock::now() - begin, 50ms);
  EXPECT_EQ(error, errc::timed_out);
  EXPECT_FALSE(none);
  EXPECT_THROW(static_cast<void>(pool.get_for(1ms)), std::system_error);
  EXPECT_EQ(pool.in_use(), 1u);
  expect_sane(pool);
}

TEST(Waiting, IsNotNeededWhereABlockIsFree) {
  Pool pool(1);
  std::error_code error;
  Block block = pool.get_for(1h, error);
  EXPECT_FALSE(error);
  block.reset();
  EXPECT_TRUE(pool.get_for(0ms));
  EXPECT_TRUE(pool.get_for(-1h));
  EXPECT_TRUE(pool.get_until(steady_clock::now() - 1h));
}

TEST(Waiting, NoTimeIsNoWait) {
  Pool pool(1);
  Block const block = pool.get();
  std::error_code error;
  auto const begin = steady_clock::now();
  EXPECT_FALSE(pool.get_for(0ns, error));
  EXPECT_EQ(error, errc::timed_out);
  EXPECT_FALSE(pool.get_for(-5s, error));
  EXPECT_EQ(error, errc::timed_out);
  EXPECT_FALSE(pool.get_until(steady_clock::now() - 1s, error));
  EXPECT_EQ(error, errc::timed_out);
  EXPECT_LT(ms_since(begin), stealth::test::kLateMs);
}

TEST(Waiting, UntilOfAnyClock) {
  Pool pool(1);
  Block const block = pool.get();
  std::error_code error;
  auto const begin = steady_clock::now();
  EXPECT_FALSE(pool.get_until(steady_clock::now() + 30ms, error));
  EXPECT_EQ(error, errc::timed_out);
  EXPECT_FALSE(pool.get_until(std::chrono::system_clock::now() + 30ms, error));
  EXPECT_EQ(error, errc::timed_out);
  EXPECT_GE(steady_clock::now() - begin, 60ms);
  EXPECT_THROW(static_cast<void>(pool.get_until(steady_clock::now())), std::system_error);
}

// Their difference from now is more than nanoseconds can say; in the clock's own unit, too.
TEST(Waiting, UntilTimesThatAreCenturiesAway) {
  using std::chrono::system_clock;
  Pool pool(1);
  Block block = pool.get();
  std::error_code error;
  auto const begin = steady_clock::now();
  EXPECT_FALSE(pool.get_until(steady_clock::time_point::min(), error));
  EXPECT_EQ(error, errc::timed_out);
  EXPECT_FALSE(pool.get_until(system_clock::time_point::min(), error));
  EXPECT_EQ(error, errc::timed_out);
  EXPECT_FALSE(pool.get_until(std::chrono::time_point<system_clock, std::chrono::hours>::min(), error));
  EXPECT_EQ(error, errc::timed_out);
  EXPECT_LT(ms_since(begin), 10000u);
  for (bool const in_hours : {false, true}) {
    std::thread other([&] {
      std::this_thread::sleep_for(20ms);
      block.reset();
    });
    Block got = in_hours ? pool.get_until(std::chrono::time_point<system_clock, std::chrono::hours>::max(), error)
                         : pool.get_until(steady_clock::time_point::max(), error);
    EXPECT_FALSE(error) << error.message();
    other.join();
    block = std::move(got);
  }
}

TEST(Waiting, EndsWithAPut) {
  Pool pool(1);
  Block block = pool.get();
  std::thread other([&] {
    until_one_waits(pool);
    block.reset();
  });
  auto const begin = steady_clock::now();
  std::error_code error;
  Block const got = pool.get_for(1h, error);
  EXPECT_FALSE(error);
  EXPECT_TRUE(got);
  EXPECT_LT(ms_since(begin), stealth::test::kLateMs);
  other.join();
}

TEST(Waiting, ForTheLongestTimes) {
  Pool pool(1);
  Block block = pool.get();
  std::thread other([&] {
    until_one_waits(pool);
    block.reset();
  });
  EXPECT_TRUE(pool.get_for(std::chrono::nanoseconds::max()));
  other.join();
  block = pool.get();
  std::thread another([&] {
    until_one_waits(pool);
    block.reset();
  });
  EXPECT_TRUE(pool.get_for(std::chrono::hours::max()));
  another.join();
}

TEST(Waiting, EndsWithClose) {
  in_a_child([] {
    Pool pool(1);
    Block const block = pool.get();
    std::thread other([&] {
      until_one_waits(pool);
      pool.close();
    });
    std::error_code error;
    EXPECT_FALSE(pool.get_for(1h, error)) << "the alarm of a child would end it";
    EXPECT_EQ(error, errc::pool_closed);
    other.join();
  });
}

TEST(Waiting, EndsWithDestruction) {
  in_a_child([] {
    auto pool = std::make_unique<Pool>(1);
    stealth_pool* const handle = pool->handle();
    Block const block = pool->get();
    std::thread other([&] {
      until_one_waits(*pool);
      pool.reset();
    });
    void* got = &pool;
    EXPECT_EQ(stealth_pool_get_for(handle, 3600'000'000'000, &got), STEALTH_POOL_CLOSED);
    EXPECT_EQ(got, nullptr);
    other.join();
  });
}

TEST(Waiting, OneWaiterForEachBlockThatComesBack) {
  constexpr int kWaiters = 6;
  Pool pool(kWaiters);
  auto blocks = take(pool, kWaiters);
  std::atomic<int> got{0};
  std::vector<std::thread> threads;
  for (int i = 0; i < kWaiters; ++i) {
    threads.emplace_back([&] {
      Block const block = pool.get_for(1h);
      ++got;
      while (got < kWaiters) std::this_thread::sleep_for(1ms);
    });
  }
  until_so_many_wait(pool, kWaiters);
  blocks.resize(3);
  EXPECT_TRUE(stealth::test::soon([&] { return got == 3; }));
  pool.put_bulk(blocks);
  for (std::thread& thread : threads) thread.join();
  EXPECT_EQ(got, kWaiters);
  EXPECT_EQ(pool.in_use(), 0u);
}

// --- several at once ---

TEST(Bulk, AllOrNone) {
  Pool pool(10);
  std::vector<Block> six(6);
  pool.get_bulk(six);
  EXPECT_EQ(pool.in_use(), 6u);
  std::set<std::byte*> distinct;
  for (Block const& block : six) distinct.insert(block.data());
  EXPECT_EQ(distinct.size(), 6u);
  std::vector<Block> five(5);
  std::error_code error;
  pool.get_bulk(five, error);
  EXPECT_EQ(error, errc::pool_full);
  for (Block const& block : five) EXPECT_FALSE(block);
  EXPECT_EQ(pool.in_use(), 6u);
  EXPECT_THROW(pool.get_bulk(five), std::system_error);
  five.pop_back();
  pool.get_bulk(five, error);
  EXPECT_FALSE(error);
  EXPECT_EQ(pool.in_use(), 10u);
  pool.put_bulk(six);
  EXPECT_EQ(pool.in_use(), 4u);
  for (Block const& block : six) EXPECT_FALSE(block);
  pool.get_bulk({}, error);
  EXPECT_FALSE(error);
}

TEST(Bulk, WhatCannotBeHadMakesNoBlocks) {
  Pool pool(1000, {.block_size = 8192, .preallocate = 10});
  std::vector<Block> blocks(1001);
  std::error_code error;
  pool.get_bulk(blocks, error);
  EXPECT_EQ(error, errc::pool_full);
  EXPECT_EQ(pool.alloc_count(), 10u);
  EXPECT_EQ(pool.high_water(), 0u);
  EXPECT_EQ(pool.stats().held, 10u * 8192);
  Block const one = pool.get();
  blocks.pop_back();
  pool.get_bulk(blocks, error);
  EXPECT_EQ(error, errc::pool_full);
  EXPECT_EQ(pool.alloc_count(), 10u);
  blocks.pop_back();
  pool.get_bulk(blocks);
  EXPECT_EQ(pool.in_use(), 1000u);
  pool.put_bulk(blocks);
  pool.trim();
  pool.get_bulk(blocks);  // of trimmed ones
  EXPECT_EQ(pool.in_use(), 1000u);
}

TEST(Bulk, WhatTheBlocksHeldGoesBackFirst) {
  Pool pool(4);
  std::vector<Block> blocks(4);
  for (int i = 0; i < 3; ++i) pool.get_bulk(blocks);
  EXPECT_EQ(pool.in_use(), 4u);
}

TEST(Bulk, PutChangesNothingWhereOneIsWrong) {
  Pool pool(10);
  Pool other(1);
  std::vector<Block> blocks(5);
  pool.get_bulk(blocks);
  blocks.push_back(other.get());
  std::error_code error;
  pool.put_bulk(blocks, error);
  EXPECT_EQ(error, errc::invalid_block);
  EXPECT_EQ(pool.in_use(), 5u);
  for (Block const& block : blocks) EXPECT_TRUE(block);
  EXPECT_THROW(pool.put_bulk(blocks), std::system_error);
  blocks[5].reset();
  pool.put_bulk(blocks);  // empty ones are passed over
  EXPECT_EQ(pool.in_use(), 0u);
}

TEST(Bulk, TheSameBlockTwice) {
  Pool pool(10);
  std::vector<void*> raw(3);
  ASSERT_EQ(stealth_pool_get_bulk(pool.handle(), raw.data(), 3, sizeof(void*)), STEALTH_OK);
  std::vector<void*> twice = {raw[0], raw[1], raw[2], raw[1]};
  EXPECT_EQ(stealth_pool_put_bulk(pool.handle(), twice.data(), 4, sizeof(void*)), STEALTH_INVALID_BLOCK);
  EXPECT_EQ(pool.in_use(), 3u);
  EXPECT_EQ(stealth_pool_put_bulk(pool.handle(), raw.data(), 3, sizeof(void*)), STEALTH_OK);
  EXPECT_EQ(stealth_pool_put_bulk(pool.handle(), raw.data(), 3, sizeof(void*)), STEALTH_INVALID_BLOCK);
  EXPECT_EQ(pool.free_count(), 3u);
  EXPECT_EQ(stealth_pool_get_bulk(pool.handle(), raw.data(), 3, 4), STEALTH_INVALID_ARGUMENT);
  EXPECT_EQ(stealth_pool_get_bulk(pool.handle(), nullptr, 3, 8), STEALTH_INVALID_ARGUMENT);
  EXPECT_EQ(stealth_pool_put_bulk(pool.handle(), nullptr, 3, 8), STEALTH_INVALID_ARGUMENT);
}

TEST(Bulk, Many) {
  Pool pool(1000, {.block_size = 64});
  std::vector<Block> all(1000);
  for (int i = 0; i < 10; ++i) {
    pool.get_bulk(all);
    EXPECT_EQ(pool.in_use(), 1000u);
    pool.put_bulk(all);
    EXPECT_EQ(pool.free_count(), 1000u);
  }
}

// --- memory ---

TEST(PoolMemory, CountsWhatIsGivenOut) {
  std::uint64_t const before = held();
  std::uint64_t const pools_before = held_by_pools();
  {
    Pool pool(1000, {.block_size = 8192, .preallocate = 10});
    EXPECT_EQ(held(), before + 10 * 8192);
    EXPECT_EQ(pool.stats().held, 10u * 8192);
    auto blocks = take(pool, 30);
    EXPECT_EQ(held(), before + 30 * 8192);
    EXPECT_EQ(held_by_pools(), pools_before + 30 * 8192);
    blocks.clear();
    EXPECT_EQ(held(), before + 30 * 8192) << "kept for the next get";
  }
  EXPECT_EQ(held(), before);
  EXPECT_EQ(held_by_pools(), pools_before);
}

TEST(PoolMemory, SmallBlocksShareTheirPages) {
  std::uint64_t const before = held();
  Pool pool(1000, {.block_size = 100});
  auto blocks = take(pool, 40);
  EXPECT_EQ(held(), before + 4096);
  blocks.push_back(pool.get());
  EXPECT_EQ(held(), before + 2 * 4096) << "the 41st lies across the boundary";
  for (int i = 0; i < 41; ++i) blocks.push_back(pool.get());
  EXPECT_EQ(held(), before + 3 * 4096);
  pool.close();
  EXPECT_EQ(held(), before);
}

TEST(PoolMemory, GoesBackAtClose) {
  constexpr std::size_t kBlocks = 64;
  Pool pool(kBlocks, {.block_size = kMiB});
  std::size_t const before = resident();
  std::vector<std::byte*> places;
  for (Block& block : take(pool, kBlocks)) {
    std::memset(block.data(), 1, block.size());
    places.push_back(block.data());
  }
  EXPECT_GE(resident(), before + kBlocks * kMiB);
  pool.close();
  for (std::byte const* const place : places) EXPECT_FALSE(is_resident(place));
  if (!stealth::test::kSanitized) {  // whose own memory stays
    EXPECT_LE(resident(), before + 2 * kMiB);
  }
}

TEST(PoolMemory, TrimGivesBackWhatIsFree) {
  std::uint64_t const before = held();
  Pool pool(100, {.block_size = 64 << 10, .preallocate = 5});
  auto blocks = take(pool, 50);
  for (Block& block : blocks) std::memset(block.data(), 1, block.size());
  std::vector<std::byte*> kept;
  std::byte* const gone = blocks[1].data();
  for (std::size_t i = 0; i < 50; i += 2) kept.push_back(blocks[i].data());
  for (std::size_t i = 1; i < 50; i += 2) blocks[i].reset();
  EXPECT_EQ(pool.trim(), 25u * (64 << 10));
  EXPECT_EQ(pool.alloc_count(), 25u);
  EXPECT_EQ(pool.free_count(), 0u);
  EXPECT_EQ(held(), before + 25 * (64 << 10));
  EXPECT_FALSE(is_resident(gone));
  for (std::byte const* const block : kept) EXPECT_EQ(*block, std::byte{1});
  EXPECT_EQ(pool.trim(), 0u);
  EXPECT_EQ(error_of_put(pool, {gone, 64 << 10}), errc::invalid_block);
  auto const more = take(pool, 75);
  EXPECT_EQ(pool.alloc_count(), 100u);
  EXPECT_EQ(error_of_get(pool), errc::pool_full);
  EXPECT_EQ(held(), before + 100 * (64 << 10));
}

TEST(PoolMemory, TrimOfWhatWasPreallocated) {
  std::uint64_t const before = held();
  Pool pool(100, {.preallocate = 50});
  EXPECT_EQ(pool.trim(), 50u * 4096);
  EXPECT_EQ(pool.alloc_count(), 0u);
  EXPECT_EQ(held(), before);
  Block const block = pool.get();
  EXPECT_EQ(held(), before + 4096);
}

TEST(PoolMemory, TrimOfSmallBlocksSparesThoseInUse) {
  for (std::size_t const size : {16u, 48u, 100u, 3000u}) {
    std::uint64_t const before = held();
    Pool pool(3000, {.block_size = size});
    stealth::test::Random random(size);
    for (int round = 0; round < 20; ++round) {
      auto blocks = take(pool, 3000);
      EXPECT_EQ(error_of_get(pool), errc::pool_full);
      for (Block& block : blocks) std::memset(block.data(), round + 1, size);
      for (Block& block : blocks) {
        if (!random.one_in(100)) block.reset();
      }
      std::uint64_t const held_before = held();
      std::size_t const given_back = pool.trim();
      EXPECT_EQ(held(), held_before - given_back);
      expect_sane(pool);
      for (Block const& block : blocks) {
        if (!block) continue;
        for (std::byte const byte : block.span()) ASSERT_EQ(static_cast<int>(byte), round + 1);
      }
      EXPECT_EQ(pool.in_use() + pool.free_count(), pool.alloc_count());
    }
    pool.trim();
    EXPECT_EQ(held(), before) << size;
    EXPECT_EQ(pool.alloc_count(), 0u);
  }
}

TEST(PoolMemory, Alignment) {
  for (std::size_t const alignment : {std::size_t{8}, std::size_t{64}, std::size_t{4096}, std::size_t{1} << 21}) {
    Pool pool(4, {.block_size = 100, .alignment = alignment});
    EXPECT_EQ(pool.stats().alignment, alignment);
    for (Block const& block : take(pool, 4))
      EXPECT_EQ(reinterpret_cast<std::uintptr_t>(block.data()) % alignment, 0u) << alignment;
  }
  EXPECT_EQ(Pool(4, {.block_size = 4096, .alignment = 16}).stats().alignment, 4096u) << "it only raises";
}

TEST(PoolMemory, WipeOnPut) {
  Pool pool(2, {.block_size = 6000, .wipe_on_put = true});
  Block block = pool.get();
  std::byte* const at = block.data();
  std::memset(at, 0xff, block.size());
  block.reset();
  for (std::size_t i = 0; i < 6000; ++i) ASSERT_EQ(at[i], std::byte{0});
  std::vector<Block> two(2);
  pool.get_bulk(two);
  for (Block& one : two) std::memset(one.data(), 0xff, 6000);
  EXPECT_EQ(error_of_put(pool, two[0].span().first(10)), errc::invalid_block);
  EXPECT_EQ(two[0].span().front(), std::byte{0xff}) << "what is refused is not touched";
  pool.put_bulk(two);
  for (std::size_t i = 0; i < 6000; ++i) ASSERT_EQ(at[i], std::byte{0});
  EXPECT_EQ(error_of_put(pool, {at, 6000}), errc::invalid_block);
}

// The flags of a block's mapping, as /proc/self/smaps has them.
std::string flags_of(void const* at) {
  std::ifstream file("/proc/self/smaps");
  std::string line;
  bool found = false;
  while (std::getline(file, line)) {
    unsigned long begin = 0, end = 0;
    if (std::sscanf(line.c_str(), "%lx-%lx ", &begin, &end) == 2)
      found = reinterpret_cast<std::uintptr_t>(at) >= begin && reinterpret_cast<std::uintptr_t>(at) < end;
    if (found && line.starts_with("VmFlags:")) return line + " ";
  }
  return {};
}

TEST(PoolMemory, ExcludeFromCoreDump) {
  Pool pool(100, {.exclude_from_core_dump = true});
  auto blocks = take(pool, 50);
  EXPECT_NE(flags_of(blocks[0].data()).find(" dd "), std::string::npos);
  EXPECT_NE(flags_of(blocks[49].data()).find(" dd "), std::string::npos);
  Pool plain(1);
  EXPECT_EQ(flags_of(plain.get().data()).find(" dd "), std::string::npos);
  std::byte* const at = blocks[0].data();
  blocks.clear();
  pool.trim();
  EXPECT_NE(flags_of(at).find(" dd "), std::string::npos);
}

TEST(PoolMemory, LockInMemory) {
  rlimit limit{};
  ASSERT_EQ(getrlimit(RLIMIT_MEMLOCK, &limit), 0);
  if (limit.rlim_cur < kMiB) GTEST_FAIL() << "RLIMIT_MEMLOCK is too low for this test: raise it to 1 MiB";
  Pool pool(100, {.block_size = 4096, .lock_in_memory = true});
  auto blocks = take(pool, 20);
  EXPECT_NE(flags_of(blocks[0].data()).find(" lo "), std::string::npos);
  std::byte* const at = blocks[0].data();
  std::memset(at, 1, 4096);
  EXPECT_TRUE(is_resident(at));
  blocks.clear();
  EXPECT_EQ(pool.trim(), 20u * 4096);
  EXPECT_FALSE(is_resident(at)) << "locked pages go back, too";
  EXPECT_NE(flags_of(at).find(" lo "), std::string::npos) << "and are locked again when they are touched";
  EXPECT_EQ(pool.get().data(), at);
}

TEST(PoolMemory, HugePages) {
  std::uint64_t const before = held();
  Pool pool(10000, {.block_size = 8192, .huge_pages = true});
  Block const block = pool.get();
  EXPECT_EQ(reinterpret_cast<std::uintptr_t>(block.data()) % (2 * kMiB), 0u);
  EXPECT_EQ(held(), before + 2 * kMiB) << "the first touch may take all of it";
  auto const more = take(pool, 255);
  EXPECT_EQ(held(), before + 2 * kMiB);
  Block const next = pool.get();
  EXPECT_EQ(held(), before + 4 * kMiB);
}

}  // namespace
