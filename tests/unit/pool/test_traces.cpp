// Where what is out at the end was taken: told for one get in so many, where a pool was asked to.
#include <dlfcn.h>

#include <algorithm>
#include <optional>
#include <sstream>

#include "buffers.hpp"

namespace {

using namespace buffers;

// Places to be found again in a report; each call of them is one, so that no two calls are merged into one.
template <int place>
__attribute__((noinline, noclone)) Block take_at(Pool& pool) {
  Block block = pool.get();
  block.data()[0] = static_cast<std::byte>(place);
  return block;
}
template <int place>
__attribute__((noinline, noclone)) Buffer take_at(BufferPool& pool) {
  Buffer buffer = pool.get();
  buffer.write(place == 1 ? "1" : "two");
  return buffer;
}

void lose(Block block) { static_cast<void>(block.release()); }
// From one place, however often: a number that is not known keeps the loop a loop.
template <int place>
__attribute__((noinline, noclone)) void lose_at(Pool& pool, int times) {
  int volatile left = times;
  while (left > 0) {
    left = left - 1;
    lose(take_at<place>(pool));
  }
}

std::vector<std::string> lines_of(std::string const& said) {
  std::vector<std::string> lines;
  std::istringstream text(said);
  for (std::string line; std::getline(text, line);) lines.push_back(line);
  return lines;
}

// Whether one of the calls in the line lies in the function, which is not longer than that.
template <class Function>
bool names(std::string const& line, Function* function) {
  constexpr std::uint64_t kLongest = 1000;
  Dl_info info{};
  EXPECT_NE(dladdr(reinterpret_cast<void*>(function), &info), 0);
  auto const base = reinterpret_cast<std::uintptr_t>(info.dli_fbase);
  std::uint64_t const begin = reinterpret_cast<std::uintptr_t>(function) - base;
  std::string const path = info.dli_fname;
  std::string const name = path.substr(path.rfind('/') + 1) + "+0x";
  for (std::size_t at = line.find(name); at != std::string::npos; at = line.find(name, at + 1)) {
    std::uint64_t const offset = std::stoull(line.substr(at + name.size()), nullptr, 16);
    if (offset >= begin && offset < begin + kLongest) return true;
  }
  return false;
}

TEST(PoolTraces, TheReportTellsWhereBlocksWereTaken) {
  auto const lines = lines_of(in_a_child([] {
    Pool pool(10, {.trace_every = 1});
    lose_at<1>(pool, 2);
    lose_at<2>(pool, 3);
    static_cast<void>(take_at<1>(pool));
  }));
  ASSERT_EQ(lines.size(), 3u);
  EXPECT_EQ(lines[0].find("stealth: a pool was closed with 5 of its 10 blocks of 4096 bytes still out: "), 0u);
  EXPECT_EQ(lines[1].find("stealth: blocks that did not come back: 3 of those traced (one get in 1) taken by "), 0u);
  EXPECT_TRUE(names(lines[1], static_cast<Block (*)(Pool&)>(take_at<2>))) << lines[1];
  EXPECT_EQ(lines[2].find("stealth: blocks that did not come back: 2 of those traced (one get in 1) taken by "), 0u);
  EXPECT_TRUE(names(lines[2], static_cast<Block (*)(Pool&)>(take_at<1>))) << lines[2];
}

TEST(PoolTraces, OneGetInSoMany) {
  auto const lines = lines_of(in_a_child([] {
    Pool pool(200, {.trace_every = 10});
    lose_at<1>(pool, 105);
  }));
  ASSERT_EQ(lines.size(), 2u);
  EXPECT_NE(lines[1].find(": 10 of those traced (one get in 10) taken by "), std::string::npos) << lines[1];
}

TEST(PoolTraces, WhatCameBackIsForgotten) {
  auto const lines = lines_of(in_a_child([] {
    Pool pool(100, {.trace_every = 1});
    for (int round = 0; round < 3; ++round) {
      auto blocks = take(pool, 50);
      blocks.resize(20);
      pool.put_bulk(blocks);
      std::vector<Block> many(50);
      pool.get_bulk(many);
      pool.put(std::move(many[0]));
      pool.put(many[1].release());
      std::error_code error;
      std::span<std::byte> const back = many[2].release();
      pool.put(back);
      pool.put(back, error);
      EXPECT_EQ(error, errc::invalid_block);
    }
    EXPECT_EQ(pool.in_use(), 0u);
    lose(take_at<2>(pool));
  }));
  ASSERT_EQ(lines.size(), 2u);
  EXPECT_NE(lines[1].find(": 1 of those traced"), std::string::npos) << lines[1];
  EXPECT_TRUE(names(lines[1], static_cast<Block (*)(Pool&)>(take_at<2>))) << lines[1];
}

TEST(PoolTraces, NothingIsToldWhereNothingIsTracedOrOut) {
  EXPECT_EQ(in_a_child([] {
              Pool pool(10, {.trace_every = 1});
              static_cast<void>(pool.get());
            }),
            "");
  EXPECT_EQ(lines_of(in_a_child([] {
              Pool pool(10);
              lose(pool.get());
            })).size(),
            1u);
  EXPECT_EQ(lines_of(in_a_child([] {
              Pool pool(10, {.trace_every = 100});
              lose(pool.get());
            })).size(),
            1u);
}

// The table is small: what does not fit is not told, and nothing else suffers.
TEST(PoolTraces, MoreThanTheTableHolds) {
  auto const lines = lines_of(in_a_child([] {
    Pool pool(20000, {.block_size = 16, .trace_every = 1});
    lose_at<1>(pool, 20000);
    EXPECT_EQ(error_of_get(pool), errc::pool_full);
  }));
  ASSERT_EQ(lines.size(), 2u);
  std::size_t const at = lines[1].find("back: ");
  ASSERT_NE(at, std::string::npos) << lines[1];
  int const told = std::stoi(lines[1].substr(at + 6));
  EXPECT_GE(told, 500) << lines[1];
  EXPECT_LE(told, 1024) << lines[1];
}

template <int... places>
void lose_at_each(Pool& pool, std::integer_sequence<int, places...>) {
  (lose(take_at<places>(pool)), ...);
}

TEST(PoolTraces, FourPlacesAndTheRest) {
  auto const lines = lines_of(in_a_child([] {
    Pool pool(100, {.trace_every = 1});
    lose_at_each(pool, std::make_integer_sequence<int, 7>());
    lose_at_each(pool, std::integer_sequence<int, 5>());
  }));
  ASSERT_EQ(lines.size(), 6u);
  EXPECT_EQ(lines[5], "stealth: blocks that did not come back: 4 more of those traced, taken elsewhere");
}

TEST(PoolTraces, UnderThreads) {
  Pool pool(64, {.trace_every = 3});
  in_threads(4, [&](int me) {
    for (int i = 0; i < rounds(3000); ++i) {
      Block const block = pool.get();
      *reinterpret_cast<int*>(block.data()) = me;
      if (i % 16 == 0) std::this_thread::yield();
      ASSERT_EQ(*reinterpret_cast<int*>(block.data()), me);
    }
  });
  EXPECT_EQ(pool.in_use(), 0u);
  expect_sane(pool);
}

TEST(BufferTraces, TheReportTellsWhereBuffersWereTaken) {
  auto const lines = lines_of(in_a_child([] {
    std::optional<BufferPool> pool(std::in_place, kMiB, BufferPoolOptions{.trace_every = 1});
    Buffer const one = take_at<1>(*pool), two = take_at<2>(*pool), again = take_at<2>(*pool);
    static_cast<void>(take_at<1>(*pool));
    pool->put(take_at<1>(*pool));
    pool.reset();
    EXPECT_EQ(two.text(), "two");
  }));
  ASSERT_EQ(lines.size(), 4u);
  EXPECT_EQ(lines[0].find("stealth: a buffer pool was destroyed with 3 of its buffers still out"), 0u) << lines[0];
  for (int i = 1; i < 4; ++i) {
    auto const at = static_cast<std::size_t>(i);
    EXPECT_EQ(lines[at].find("stealth: buffers that did not come back: 1 of those traced (one get in 1) taken by "),
              0u);
  }
  // Equally frequent ones come in no order that is promised: it is that of addresses.
  auto const named = [&](Buffer (*place)(BufferPool&)) {
    return std::count_if(lines.begin() + 1, lines.end(), [&](std::string const& line) { return names(line, place); });
  };
  EXPECT_GE(named(take_at<1>), 1);
  EXPECT_GE(named(take_at<2>), 2);
}

}  // namespace
