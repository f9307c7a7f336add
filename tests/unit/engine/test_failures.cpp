// Every system call that the engine makes refuses once, several times, or for ever, at every point of a sequence that
// uses all kinds of memory: each request is served or says ENOMEM, contents stay, and afterwards all is well.
#include <fstream>

#include "engine.hpp"
#include "fake_sys.hpp"

namespace {

using namespace stealth;
using test::Block;
using test::start_engine;

// Requests that were refused; -1 where something was wrong.
int sequence() {
  int refused = 0;
  std::vector<Block> blocks;
  auto const keep = [&](void* p, std::size_t size) {
    if (p == nullptr) {
      ++refused;
      EXPECT_EQ(errno, ENOMEM);
      errno = 0;
      return;
    }
    blocks.push_back({static_cast<char*>(p), size, blocks.size()});
    test::write(blocks.back());
  };
  for (std::size_t size = 10; size < (test::kSanitized ? 600 * kKiB : 2 * kMiB); size = size * 5 / 3) {
    for (int i = 0; i < 3; ++i) keep(allocate(size), size);
    void* const zeroed = allocate_zeroed(size);
    EXPECT_TRUE(zeroed == nullptr || test::all_zero(zeroed, size));
    keep(zeroed, size);
    void* const aligned = allocate_aligned(size, 8192);
    EXPECT_TRUE(test::aligned_to(aligned, 8192));
    keep(aligned, size);
  }
  std::thread([&] {
    for (int i = 0; i < 20; ++i) keep(allocate(700), 700);
    if (!blocks.empty()) {
      EXPECT_TRUE(test::intact(blocks.back()));
      deallocate(blocks.back().at);
      blocks.pop_back();
    }
  }).join();
  for (Block& block : blocks) {
    std::size_t const size = block.size * 2 + 1;
    auto* const at = static_cast<char*>(reallocate(block.at, size));
    if (at == nullptr) {
      ++refused;
      EXPECT_TRUE(test::intact(block)) << block.size;
      continue;
    }
    block.at = at;
    EXPECT_TRUE(test::intact(block)) << block.size << " -> " << size;
    block.size = size;
    test::write(block);
  }
  EXPECT_TRUE(engine_is_valid());
  for (std::size_t i = 0; i < blocks.size(); i += 2) {
    EXPECT_TRUE(test::intact(blocks[i]));
    deallocate(blocks[i].at);
  }
  trim();
  EXPECT_TRUE(engine_is_valid());
  for (std::size_t i = 1; i < blocks.size(); i += 2) {
    EXPECT_TRUE(test::intact(blocks[i]));
    deallocate(blocks[i].at);
  }
  return testing::Test::HasFailure() ? -1 : refused;
}

void run(long number, int error, std::uint64_t nth, std::uint64_t times) {
  fake::reset();
  ASSERT_TRUE(start_engine({.reservation = kGiB, .purge_delay_ms = nth % 2 == 0 ? 0u : 500u}));
  fake::fail(number, nth, error, times);
  ASSERT_GE(sequence(), 0) << "call " << number << " failed " << times << " times from the " << nth << "th on";
  fake::stop_failing(number);
  ASSERT_EQ(sequence(), 0) << "all is well again";
  // What failed blocks may stay charged until they are used again, but no block is lost.
  trim();
  test::expect_consistent();
  EXPECT_EQ(test::census().all.live, 0u);
}

class Failures : public testing::TestWithParam<std::pair<long, int>> {};

TEST_P(Failures, AtEveryPoint) {
  long const number = GetParam().first;  // no structured binding: clang 14's lambdas cannot capture one
  int const error = GetParam().second;
  std::uint64_t const most = test::kSanitized ? 5 : 16;
  for (std::uint64_t nth = 1; nth <= most; nth += 1 + nth / 6) {
    for (std::uint64_t const times : {std::uint64_t{1}, std::uint64_t{5}, fake::kForEver}) {
      test::in_a_child([&] { run(number, error, nth, times); });
    }
  }
}

INSTANTIATE_TEST_SUITE_P(Calls, Failures,
                         testing::Values(std::pair(long{SYS_mmap}, ENOMEM), std::pair(long{SYS_mprotect}, ENOMEM),
                                         std::pair(long{SYS_madvise}, EINVAL), std::pair(long{SYS_mremap}, ENOMEM),
                                         std::pair(long{SYS_munmap}, ENOMEM)),
                         [](auto const& one) {
                           return std::string(one.param.first == SYS_mmap       ? "mmap"
                                              : one.param.first == SYS_mprotect ? "mprotect"
                                              : one.param.first == SYS_madvise  ? "madvise"
                                              : one.param.first == SYS_mremap   ? "mremap"
                                                                                : "munmap");
                         });

// The sequence does make the calls whose failure is tried.
TEST(Failures, TheSequenceMakesTheCalls) {
  test::in_a_child([&] {
    fake::reset();
    ASSERT_TRUE(start_engine({.reservation = kGiB}));
    EXPECT_EQ(sequence(), 0);
    EXPECT_GT(fake::count(SYS_mprotect), 4u);
    EXPECT_GT(fake::count(SYS_madvise), 0u);
    EXPECT_GT(fake::count(SYS_mremap), 0u);
    EXPECT_GT(fake::count(SYS_mmap), 1u);
  });
}

// A heap for a thread cannot be had: its requests fail, its frees wait for somebody with a heap.
TEST(Failures, NoHeapForAThread) {
  test::in_a_child([&] {
    fake::reset();
    ASSERT_TRUE(start_engine({.reservation = kGiB}));
    std::vector<Block> blocks;
    for (std::size_t const size : {100u, 3000u, 100'000u}) blocks.push_back(test::make_blocks(1, size, size)[0]);
    fake::fail(SYS_mmap, 1, ENOMEM, fake::kForEver);
    test::in_threads(3, [&](int index) {
      for (int i = 0; i < 3; ++i) {
        EXPECT_EQ(allocate(100), nullptr);
        EXPECT_EQ(errno, ENOMEM);
        EXPECT_EQ(allocate(100'000), nullptr);
        EXPECT_EQ(allocate_zeroed(100'000), nullptr);
      }
      EXPECT_TRUE(test::intact(blocks[static_cast<std::size_t>(index)]));
      deallocate(blocks[static_cast<std::size_t>(index)].at);
    });
    fake::stop_failing(SYS_mmap);
    EXPECT_TRUE(engine_is_valid());
    for (int i = 0; i < 3; ++i) deallocate(allocate(50'000));
    trim();
    EXPECT_EQ(test::census().all.live, 0u);
    test::expect_consistent();
  });
}

TEST(Failures, StartsWithWhatCanBeReserved) {
  test::in_a_child([&] {
    fake::reset();
    fake::fail(SYS_mmap, 1, ENOMEM, 5);
    ASSERT_TRUE(start_engine({.reservation = 64 * kGiB}));
    EXPECT_EQ(g_arena.reserved_bytes(), 2 * kGiB);
    EXPECT_EQ(sequence(), 0);
  });
}

}  // namespace
