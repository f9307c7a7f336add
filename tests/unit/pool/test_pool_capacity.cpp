// The memory of pools and the capacity: what is charged, who waits, what the policy does.
#include <chrono>
#include <thread>

#include "pools.hpp"

namespace {

using namespace pools;
using namespace std::chrono_literals;
using std::chrono::steady_clock;
using stealth::test::ms_since;

constexpr std::size_t kMiB = 1 << 20;

// Every test begins with 16 MiB to be had, and leaves no capacity behind.
class PoolCapacity : public testing::Test {
 protected:
  void SetUp() override {
    stealth::set("capacity", "16m");
    stealth::set("on_exhausted", "enomem");
    stealth::set("backoff_patience", "100ms");
    stealth::set("backoff_budget", "100%");
  }
  void TearDown() override {
    stealth::set("capacity", "none");
    stealth::set("on_exhausted", "grant");
    stealth::set("backoff_patience", "1s");
    stealth::set("backoff_budget", "50%");
    stealth::set("mode", "enforce");
    EXPECT_EQ(held_by_pools(), 0u);
    EXPECT_EQ(held(), 0u);
  }
};

// Touched, because only what is resident counts.
Block touched(Pool& pool, std::error_code& error) {
  Block block = pool.get(error);
  if (block) std::memset(block.data(), 1, block.size());
  return block;
}

TEST_F(PoolCapacity, GetWaitsAndThenFails) {
  Pool pool(100, {.block_size = kMiB});
  std::vector<Block> blocks;
  std::error_code error;
  auto const begin = steady_clock::now();
  while (!error) blocks.push_back(touched(pool, error));
  EXPECT_EQ(error, errc::not_enough_memory);
  EXPECT_GE(pool.in_use(), 14u);
  EXPECT_LE(pool.in_use(), 16u);
  EXPECT_GE(ms_since(begin), 100u);
  EXPECT_GE(stealth::stats().refusals, 1u);
  EXPECT_EQ(pool.in_use(), pool.alloc_count());
  blocks.resize(5);
  EXPECT_TRUE(pool.get()) << "those that are there cost nothing";
}

TEST_F(PoolCapacity, GrantGoesOver) {
  stealth::set("on_exhausted", "grant");
  Pool pool(30, {.block_size = kMiB});
  std::vector<Block> blocks;
  std::error_code error;
  for (int i = 0; i < 30; ++i) blocks.push_back(touched(pool, error));
  EXPECT_FALSE(error);
  EXPECT_EQ(held_by_pools(), 30 * kMiB);
  EXPECT_GT(stealth::stats().grants, 0u);
}

TEST_F(PoolCapacity, AWaitingGetIsServedByAnotherPoolsTrim) {
  stealth::set("backoff_patience", "1m");
  stealth::set("backoff_max_elapsed", "1m");
  Pool pool(100, {.block_size = kMiB});
  Pool other(8, {.block_size = kMiB});
  std::vector<Block> theirs;
  std::error_code error;
  for (int i = 0; i < 8; ++i) theirs.push_back(touched(other, error));
  theirs.clear();
  std::thread trimmer([&] {
    EXPECT_TRUE(stealth::test::soon([] { return stealth::stats().waiting_now != 0; }));
    other.trim();
  });
  std::vector<Block> blocks;
  for (int i = 0; i < 14; ++i) blocks.push_back(touched(pool, error));
  EXPECT_FALSE(error) << error.message();
  trimmer.join();
  stealth::set("backoff_max_elapsed", "15s");
}

// The wait is for memory; but a block that has come back meanwhile needs none.
TEST_F(PoolCapacity, AGetThatIsRefusedTakesWhatHasComeBackMeanwhile) {
  Pool pool(100, {.block_size = kMiB});
  std::vector<Block> blocks;
  std::error_code error;
  while (!error) blocks.push_back(touched(pool, error));
  blocks.pop_back();
  stealth::set("backoff_patience", "500ms");
  std::thread other([&] {
    while (stealth::stats().waiting_now == 0) std::this_thread::sleep_for(1ms);
    blocks.pop_back();
  });
  Block const block = pool.get(error);
  other.join();
  EXPECT_TRUE(block) << error.message();
}

TEST_F(PoolCapacity, GetForWaitsForItsOwnTimeOnly) {
  stealth::set("backoff_patience", "2m");
  stealth::set("backoff_max_elapsed", "2m");
  Pool pool(100, {.block_size = kMiB});
  std::vector<Block> blocks;
  std::error_code error;
  auto const begin = steady_clock::now();
  while (!error) {
    blocks.push_back(pool.get_for(50ms, error));
    if (!error) std::memset(blocks.back().data(), 1, kMiB);
  }
  EXPECT_EQ(error, errc::timed_out);
  EXPECT_GE(ms_since(begin), 50u);
  EXPECT_LT(ms_since(begin), stealth::test::kLateMs);
  EXPECT_LE(pool.in_use(), 16u);
  std::thread other([&] {
    until_one_waits(pool);
    blocks.clear();
  });
  EXPECT_TRUE(pool.get_for(1h)) << "a block that comes back will do";
  other.join();
  stealth::set("backoff_max_elapsed", "15s");
}

TEST_F(PoolCapacity, Preallocation) {
  std::error_code error;
  Pool const pool(100, {.block_size = kMiB, .preallocate = 50}, error);
  EXPECT_EQ(error, std::errc::not_enough_memory);
  EXPECT_EQ(held_by_pools(), 0u);
  Pool const smaller(100, {.block_size = kMiB, .preallocate = 10}, error);
  EXPECT_FALSE(error);
  EXPECT_EQ(held_by_pools(), 10 * kMiB);
}

TEST_F(PoolCapacity, ModeOffDelaysNothing) {
  stealth::set("mode", "off");
  Pool pool(30, {.block_size = kMiB});
  std::uint64_t const waits = stealth::stats().waits;
  auto const blocks = take(pool, 30);
  EXPECT_EQ(stealth::stats().waits, waits);
  EXPECT_EQ(held_by_pools(), 30 * kMiB);
}

TEST_F(PoolCapacity, ManyThreadsAtTheCapacity) {
  Pool pool(1000, {.block_size = 64 << 10});
  in_threads(4, [&](int me) {
    stealth::test::Random random(static_cast<std::uint64_t>(me));
    for (int i = 0; i < 20; ++i) {
      std::vector<Block> blocks;
      std::error_code error;
      for (std::size_t n = random.below(100); n-- > 0 && !error;) blocks.push_back(touched(pool, error));
      ASSERT_TRUE(!error || error == errc::not_enough_memory);
      ASSERT_LE(held_by_pools(), 24 * kMiB) << "what is not touched yet does not count";
      if (random.one_in(4)) pool.trim();
    }
  });
  EXPECT_EQ(pool.in_use(), 0u);
  EXPECT_EQ(held_by_pools(), pool.stats().held);
}

}  // namespace
