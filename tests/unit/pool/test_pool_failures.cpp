// Pools with an unwilling kernel: every call of every kind fails once, and for ever, at every place of a pool's life.
// Whatever fails, it is a clear error, nothing is lost, and the next pool is as good as ever.
#include <sys/mman.h>

#include <cerrno>
#include <set>
#include <thread>

#include "fake_sys.hpp"
#include "pools.hpp"

namespace {

using namespace pools;
namespace fake = stealth::fake;

class PoolFailures : public testing::Test {
 protected:
  fake::Fresh fresh_;
};

bool is_expected(std::error_code error) {
  return !error || error == errc::not_enough_memory || error == errc::not_supported || error == errc::timed_out;
}

// A pool's life with all that calls the kernel. True: nothing has failed.
bool live(PoolOptions const& options) {
  bool all_well = true;
  auto const note = [&all_well](std::error_code error) {
    EXPECT_TRUE(is_expected(error)) << error.message();
    if (error) all_well = false;
  };
  std::error_code error;
  Pool pool(5000, options, error);
  note(error);
  if (error) {
    EXPECT_EQ(pool.handle(), nullptr);
    return false;
  }
  std::vector<Block> blocks;
  std::set<std::byte*> distinct;
  for (int i = 0; i < 100; ++i) {
    Block block = pool.get(error);
    note(error);
    if (error) continue;
    std::memset(block.data(), i, block.size());
    EXPECT_TRUE(distinct.insert(block.data()).second);
    blocks.push_back(std::move(block));
  }
  EXPECT_EQ(pool.in_use(), blocks.size());
  for (std::size_t i = 0; i < blocks.size(); i += 3) blocks[i].reset();
  pool.trim();
  expect_sane(pool);
  for (int i = 0; i < 50; ++i) {
    Block block = pool.get_for(std::chrono::microseconds(1), error);
    note(error);
    if (!error) blocks.push_back(std::move(block));
  }
  // A thread whose magazine is taken away.
  std::thread([&] { static_cast<void>(pool.get(error)); }).join();
  note(error);
  std::vector<Block> many(30);
  pool.get_bulk(many, error);
  note(error);
  many.clear();
  blocks.clear();
  EXPECT_EQ(pool.in_use(), 0u);
  expect_sane(pool);
  pool.close();
  EXPECT_EQ(pool.alloc_count(), 0u);
  return all_well;
}

std::vector<PoolOptions> kinds_of_pools() {
  return {
      {},
      {.block_size = 100},
      {.block_size = 8192, .preallocate = 7},
      {.block_size = 3000, .preallocate = 7},
      {.exclude_from_core_dump = true, .lock_in_memory = true, .wipe_on_put = true},
      {.block_size = 50000, .alignment = 1 << 16, .huge_pages = true},
  };
}

void fail_everywhere(long number, int error) {
  std::uint64_t const before = held();
  for (PoolOptions const& options : kinds_of_pools()) {
    for (std::uint64_t const times : {std::uint64_t{1}, std::uint64_t{2}, fake::kForEver}) {
      int well = 0;
      for (std::uint64_t n = 1; n < 200 && well < 3; ++n) {
        fake::reset();
        fake::fail(number, n, error, times);
        well = live(options) && fake::count(number) < n ? well + 1 : 0;
        fake::stop_failing(number);
        ASSERT_EQ(held(), before) << "call " << n << ", " << times << " times";
        if (testing::Test::HasFailure()) return;
      }
      fake::reset();
      EXPECT_TRUE(live(options)) << "afterwards";
    }
  }
}

TEST_F(PoolFailures, Mmap) { fail_everywhere(SYS_mmap, ENOMEM); }
TEST_F(PoolFailures, Munmap) { fail_everywhere(SYS_munmap, ENOMEM); }
TEST_F(PoolFailures, Mprotect) { fail_everywhere(SYS_mprotect, ENOMEM); }
TEST_F(PoolFailures, Madvise) { fail_everywhere(SYS_madvise, ENOMEM); }
TEST_F(PoolFailures, MadviseUnknown) { fail_everywhere(SYS_madvise, EINVAL); }
TEST_F(PoolFailures, Mlock) { fail_everywhere(SYS_mlock2, ENOMEM); }
TEST_F(PoolFailures, Munlock) { fail_everywhere(SYS_munlock, EPERM); }
TEST_F(PoolFailures, Membarrier) { fail_everywhere(SYS_membarrier, EPERM); }
TEST_F(PoolFailures, Futex) { fail_everywhere(SYS_futex, ENOSYS); }

TEST_F(PoolFailures, FailedPreallocationReleasesAllAndThrows) {
  std::uint64_t const before = held();
  for (long const number : {SYS_madvise, SYS_mprotect, SYS_mmap}) {
    fake::fail(number, 1, ENOMEM, fake::kForEver);
    try {
      Pool const pool(100, {.preallocate = 50});
      ADD_FAILURE() << "nothing thrown";
    } catch (std::system_error const& caught) {
      EXPECT_EQ(caught.code(), std::errc::not_enough_memory);
    }
    fake::stop_failing(number);
    EXPECT_EQ(held(), before);
  }
  Pool const pool(100, {.preallocate = 50});
  EXPECT_EQ(pool.free_count(), 50u);
}

// Not found out by touching it all.
TEST_F(PoolFailures, MorePreallocatedThanTheMachineHas) {
  std::uint64_t const before = held();
  std::error_code error;
  constexpr std::size_t kBlocks = (std::size_t{1} << 30) - 2;  // 32 TiB
  Pool const pool(kBlocks, {.block_size = 32768, .preallocate = kBlocks}, error);
  EXPECT_EQ(error, std::errc::not_enough_memory);
  EXPECT_EQ(held(), before);
}

TEST_F(PoolFailures, AFailedMappingIsNotEnoughMemory) {
  Pool pool(1000, {.block_size = 1 << 20});
  Block const first = pool.get();
  fake::fail(SYS_mprotect, 1, ENOMEM, fake::kForEver);
  std::error_code error;
  std::vector<Block> blocks;
  for (int i = 0; i < 1000 && !error; ++i) blocks.push_back(pool.get(error));
  EXPECT_EQ(error, std::errc::not_enough_memory);
  std::size_t const had = pool.in_use();
  std::vector<Block> bulk(20);
  pool.get_bulk(bulk, error);
  EXPECT_EQ(error, std::errc::not_enough_memory);
  EXPECT_EQ(pool.in_use(), had) << "those of them that could be had went back";
  fake::stop_failing(SYS_mprotect);
  pool.get_bulk(bulk, error);
  EXPECT_FALSE(error);
}

// Without the barrier nobody's magazine is taken away, since nobody has one.
TEST_F(PoolFailures, WithoutMembarrier) {
  fake::fail(SYS_membarrier, 1, ENOSYS, fake::kForEver);
  Pool pool(16);
  in_threads(4, [&](int) {
    for (int i = 0; i < rounds(2000); ++i) {
      auto const blocks = take(pool, 4);
    }
  });
  EXPECT_EQ(pool.in_use(), 0u);
  auto const all = take(pool, 16);
  EXPECT_EQ(error_of_get(pool), errc::pool_full);
}

TEST_F(PoolFailures, LockedBeyondTheLimit) {
  fake::fail(SYS_mlock2, 3, ENOMEM, fake::kForEver);
  Pool pool(100000, {.lock_in_memory = true});
  std::error_code error;
  std::vector<Block> blocks;
  while (!error) blocks.push_back(pool.get(error));
  EXPECT_EQ(error, std::errc::not_enough_memory);
  EXPECT_GE(pool.in_use(), 16u);
  blocks.clear();
  EXPECT_TRUE(pool.get());
}

}  // namespace
