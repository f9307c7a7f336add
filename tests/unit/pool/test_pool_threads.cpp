// Pools under threads: single ownership, exact counts, blocks in other threads' magazines, threads that end, waiting,
// closing in the midst, and fork.
#include <array>
#include <atomic>
#include <barrier>
#include <chrono>
#include <memory>
#include <mutex>
#include <thread>

#include "pools.hpp"

namespace {

using namespace pools;
using namespace std::chrono_literals;
using stealth::test::Random;

// Writes its mark into a block, and finds it again later if nobody else has the block.
class Marked {
 public:
  Marked(Block block, std::uint64_t mark) : block_(std::move(block)), mark_(mark) {
    auto* const words = reinterpret_cast<std::uint64_t*>(block_.data());
    words[0] = mark_;
    words[block_.size() / 8 - 1] = ~mark_;
  }
  [[nodiscard]] bool intact() const {
    auto const* const words = reinterpret_cast<std::uint64_t const*>(block_.data());
    return words[0] == mark_ && words[block_.size() / 8 - 1] == ~mark_;
  }
  [[nodiscard]] Block take() { return std::move(block_); }

 private:
  Block block_;
  std::uint64_t mark_;
};

// Mostly by spinning, so that both are there at the same time; but there may be one core only.
void pause_or_yield(int round) {
  if (round % 2 == 0) std::this_thread::yield();
}

TEST(PoolThreads, EachBlockHasOneOwner) {
  constexpr int kThreads = 8;
  constexpr std::size_t kEach = 40;
  for (std::size_t const size : {64u, 4096u}) {
    Pool pool(kThreads * kEach, {.block_size = size});
    std::mutex mutex;
    std::vector<Marked> handed_over;  // freed by another thread than the one that got it
    in_threads(kThreads, [&](int me) {
      Random random(static_cast<std::uint64_t>(me));
      std::vector<Marked> mine;
      for (int i = 0; i < rounds(20000); ++i) {
        if (mine.size() < kEach && random.one_in(2)) {
          mine.emplace_back(pool.get(), random.next());
        } else if (!mine.empty()) {
          std::size_t const which = random.below(mine.size());
          ASSERT_TRUE(mine[which].intact());
          std::swap(mine[which], mine.back());
          Marked leaving = std::move(mine.back());
          mine.pop_back();
          if (random.one_in(4)) {
            std::lock_guard const hold(mutex);
            if (handed_over.empty()) {
              handed_over.push_back(std::move(leaving));
              continue;
            }
            std::swap(handed_over.back(), leaving);  // another thread's
          }
          ASSERT_TRUE(leaving.intact());
          if (random.one_in(4)) {
            ASSERT_FALSE(error_of_put(pool, leaving.take().release()));
          }
        }
      }
      for (Marked& last : mine) ASSERT_TRUE(last.intact());
    });
    for (Marked& last : handed_over) EXPECT_TRUE(last.intact());
    handed_over.clear();
    EXPECT_EQ(pool.in_use(), 0u);
    EXPECT_LE(pool.high_water(), kThreads * kEach);
    expect_sane(pool);
    auto const all = take(pool, pool.max_blocks());
    EXPECT_EQ(error_of_get(pool), errc::pool_full) << "no more, and no fewer";
  }
}

// Of all that try to put the same block, one succeeds.
TEST(PoolThreads, PutTwiceAtOnce) {
  constexpr int kThreads = 4;
  Pool pool(4);
  std::atomic<std::byte*> shared{nullptr};
  std::atomic<int> good{0}, tried{0}, round{0};
  int const most = rounds(3000);
  in_threads(kThreads, [&](int me) {
    for (int i = 0; i < most; ++i) {
      if (me == 0) {
        good = tried = 0;
        shared = pool.get().release().data();
        ++round;
      }
      while (round <= i) std::this_thread::yield();
      if (!error_of_put(pool, {shared.load(), 4096})) ++good;
      ++tried;
      while (tried != kThreads && round == i + 1) std::this_thread::yield();
      if (me == 0) {
        ASSERT_EQ(good, 1);
      }
    }
  });
  EXPECT_EQ(pool.in_use(), 0u);
  EXPECT_EQ(pool.alloc_count(), 1u);
}

// The one who took the block from its magazine may put it without a locked instruction; another one tries at that
// moment.
TEST(PoolThreads, PutTwiceAtOnceByItsOwnerAndAnother) {
  int const most = rounds(3000);
  std::unique_ptr<Pool> pool;
  std::atomic<std::byte*> shared{nullptr};
  std::atomic<int> good{0}, tried{0}, round{0};
  in_threads(2, [&](int me) {
    for (int i = 0; i < most; ++i) {
      if (me == 0) {
        pool = std::make_unique<Pool>(2);  // a new one knows of no other threads yet
        for (int n = 0; n < 3; ++n) static_cast<void>(pool->get());
        good = tried = 0;
        shared = pool->get().release().data();
        ++round;
      }
      while (round <= i) pause_or_yield(i);
      if (me == 1 && i % 4 == 1) std::this_thread::yield();
      if (!error_of_put(*pool, {shared.load(), 4096})) ++good;
      ++tried;
      while (tried != 2 && round == i + 1) pause_or_yield(i);
      if (me != 0) continue;
      ASSERT_EQ(good, 1);
      ASSERT_EQ(pool->in_use(), 0u);
      Block const first = pool->get();
      Block const second = pool->get();
      ASSERT_NE(first.data(), second.data());
    }
  });
}

TEST(PoolThreads, BlocksThatOthersPutBack) {
  Pool pool(64);
  std::atomic<std::byte*> handed{nullptr};
  std::atomic<bool> done{false};
  in_threads(2, [&](int me) {
    if (me == 1) {
      while (!done || handed != nullptr) {
        std::byte* const block = handed.exchange(nullptr);
        if (block == nullptr) {
          std::this_thread::yield();
          continue;
        }
        ASSERT_FALSE(error_of_put(pool, {block, 4096}));
        ASSERT_EQ(error_of_put(pool, {block, 1}), errc::invalid_block);
      }
      return;
    }
    for (int i = 0; i < rounds(3000); ++i) {
      std::vector<Block> own = take(pool, 1 + static_cast<std::size_t>(i % 5));
      std::byte* expected = nullptr;
      std::byte* const last = own.back().release().data();
      own.pop_back();
      while (!handed.compare_exchange_weak(expected, last)) {
        expected = nullptr;
        std::this_thread::yield();
      }
    }
    done = true;
  });
  EXPECT_EQ(pool.in_use(), 0u);
  expect_sane(pool);
}

// The last free block lies in a magazine of a thread that does nothing more.
TEST(PoolThreads, FullOnlyWhenNoBlockIsFreeAnywhere) {
  constexpr int kThreads = 6;
  constexpr std::size_t kEach = 20;
  Pool pool(kThreads * kEach);
  std::atomic<int> stocked{0};
  std::atomic<bool> done{false};
  std::vector<std::thread> threads;
  std::barrier gate(kThreads);
  for (int i = 0; i < kThreads; ++i) {
    threads.emplace_back([&] {
      auto blocks = take(pool, kEach);
      gate.arrive_and_wait();
      blocks.clear();  // into this thread's magazine
      ++stocked;
      while (!done) std::this_thread::sleep_for(1ms);
    });
  }
  while (stocked < kThreads) std::this_thread::sleep_for(1ms);
  EXPECT_EQ(pool.free_count(), kThreads * kEach);
  auto const all = take(pool, kThreads * kEach);
  EXPECT_EQ(pool.alloc_count(), kThreads * kEach);
  EXPECT_EQ(error_of_get(pool), errc::pool_full);
  done = true;
  for (std::thread& thread : threads) thread.join();
}

// With as many blocks as threads there is always one for each, wherever it lies.
TEST(PoolThreads, NeverFullWithABlockForEach) {
  constexpr int kThreads = 8;
  Pool pool(kThreads, {.block_size = 128});
  in_threads(kThreads, [&](int me) {
    for (int i = 0; i < rounds(20000); ++i) {
      std::error_code error;
      Block const block = pool.get(error);
      ASSERT_FALSE(error) << error.message() << " in round " << i << " of thread " << me;
      *reinterpret_cast<int*>(block.data()) = me;
      if (i % 7 == 0) std::this_thread::yield();
      ASSERT_EQ(*reinterpret_cast<int*>(block.data()), me);
    }
  });
  EXPECT_EQ(pool.in_use(), 0u);
  expect_sane(pool);
}

TEST(PoolThreads, FewerBlocksThanThreads) {
  constexpr int kThreads = 8;
  Pool pool(3, {.block_size = 128});
  std::atomic<int> out{0};
  in_threads(kThreads, [&](int me) {
    for (int i = 0; i < rounds(2000); ++i) {
      Block const block = pool.get_for(60s);
      ASSERT_LE(++out, 3);
      *reinterpret_cast<int*>(block.data()) = me;
      ASSERT_EQ(*reinterpret_cast<int*>(block.data()), me);
      --out;
    }
  });
  EXPECT_EQ(pool.in_use(), 0u);
  EXPECT_LE(pool.alloc_count(), 3u);
  expect_sane(pool);
}

TEST(PoolThreads, FromOneThreadToAnother) {
  Pool pool(64);
  std::mutex mutex;
  std::vector<Block> queue;
  int const count = rounds(20000);
  in_threads(2, [&](int me) {
    for (int i = 0; i < count;) {
      std::lock_guard const hold(mutex);
      if (me == 0 && queue.size() < 50) {
        queue.push_back(pool.get());
        ++i;
      } else if (me == 1 && !queue.empty()) {
        queue.pop_back();
        ++i;
      }
    }
  });
  EXPECT_EQ(pool.in_use(), 0u);
  EXPECT_LE(pool.alloc_count(), 52u) << "what the one puts back serves the other";
}

TEST(PoolThreads, ThreadsThatEndLeaveTheirBlocks) {
  Pool pool(10);
  for (int i = 0; i < rounds(300); ++i) {
    std::thread([&] { static_cast<void>(take(pool, 10)); }).join();
    ASSERT_EQ(pool.free_count(), 10u);
    if (i % 3 == 0) {
      auto const all = take(pool, 10);
      ASSERT_EQ(error_of_get(pool), errc::pool_full);
    }
  }
  EXPECT_EQ(pool.alloc_count(), 10u);
}

TEST(PoolThreads, ManyThreadsMoreThanMagazines) {
  constexpr int kThreads = stealth::test::kSanitized ? 200 : 1100;
  Pool pool(kThreads, {.block_size = 64});
  in_threads(kThreads, [&](int) {
    for (int i = 0; i < 20; ++i) {
      std::error_code error;
      Block const block = pool.get(error);
      ASSERT_FALSE(error) << error.message();
    }
  });
  EXPECT_EQ(pool.in_use(), 0u);
  expect_sane(pool);
}

TEST(PoolThreads, BulkAndSingleTogether) {
  constexpr int kThreads = 4;
  Pool pool(kThreads * 100, {.block_size = 64});
  in_threads(kThreads, [&](int me) {
    Random random(static_cast<std::uint64_t>(me) + 7);
    std::vector<Block> blocks(100);
    for (int i = 0; i < rounds(2000); ++i) {
      std::span<Block> const some(blocks.data(), random.below(101));
      std::error_code error;
      pool.get_bulk(some, error);
      ASSERT_FALSE(error) << error.message();
      if (random.one_in(2)) pool.put_bulk(some);
      for (Block& block : blocks) block.reset();
      if (random.one_in(50)) pool.trim();
    }
  });
  EXPECT_EQ(pool.in_use(), 0u);
  expect_sane(pool);
}

TEST(PoolThreads, TrimAndFiguresMeanwhile) {
  constexpr int kThreads = 3;
  std::uint64_t const before = held_by_pools();
  Pool pool(1000, {.block_size = 512});
  std::atomic<int> working{kThreads};
  in_threads(kThreads + 1, [&](int me) {
    if (me == kThreads) {
      while (working > 0) {
        ::stealth_pool_statistics const now = pool.stats();
        ASSERT_EQ(now.allocated, now.free + now.in_use);
        ASSERT_LE(now.allocated, 1000u);
        pool.trim();
        ASSERT_FALSE(pool.owns(&pool));
      }
      return;
    }
    Random random(static_cast<std::uint64_t>(me));
    for (int i = 0; i < rounds(3000); ++i) {
      std::vector<Marked> some;
      for (std::size_t n = random.below(100); n-- > 0;) some.emplace_back(pool.get(), random.next());
      for (Marked const& one : some) ASSERT_TRUE(one.intact());
    }
    --working;
  });
  pool.trim();
  EXPECT_EQ(pool.alloc_count(), 0u);
  EXPECT_EQ(held_by_pools(), before);
}

TEST(PoolThreads, CloseInTheMidst) {
  constexpr int kThreads = 4;
  for (int i = 0; i < rounds(200); ++i) {
    bool const wipe = i % 2 == 0;
    Pool pool(kThreads * 8, {.block_size = 256, .wipe_on_put = wipe});
    std::atomic<int> seen{0};
    in_threads(kThreads + 1, [&](int me) {
      if (me == kThreads) {
        while (seen < 50) std::this_thread::yield();
        pool.close();
        return;
      }
      for (;;) {
        std::error_code error;
        // Not touched: with the pool its memory may go at any moment.
        std::span<std::byte> const raw = pool.get(error).release();
        if (error) {
          ASSERT_EQ(error, errc::pool_closed);
          return;
        }
        ++seen;
        error = error_of_put(pool, raw);
        ASSERT_TRUE(!error || error == errc::pool_closed) << error.message();
      }
    });
    ASSERT_EQ(pool.alloc_count(), 0u);
  }
}

TEST(PoolThreads, WaitersWhenItCloses) {
  constexpr int kThreads = 6;
  for (int i = 0; i < rounds(100); ++i) {
    Pool pool(2, {.block_size = 256});
    std::atomic<int> seen{0};
    in_threads(kThreads + 1, [&](int me) {
      if (me == kThreads) {
        while (seen < 20) std::this_thread::yield();
        pool.close();
        return;
      }
      for (;;) {
        std::error_code error;
        std::span<std::byte> const raw = pool.get_for(60s, error).release();
        if (error) {
          ASSERT_EQ(error, errc::pool_closed);
          return;
        }
        ++seen;
        static_cast<void>(error_of_put(pool, raw));
      }
    });
  }
}

TEST(PoolThreads, ManyPoolsComeAndGo) {
  constexpr int kThreads = 4;
  std::uint64_t const before = held_by_pools();
  in_threads(kThreads, [&](int me) {
    Random random(static_cast<std::uint64_t>(me));
    std::vector<Pool> pools;
    for (int i = 0; i < rounds(500); ++i) {
      if (pools.size() < 5 || random.one_in(2)) {
        pools.emplace_back(1 + random.below(50), PoolOptions{.block_size = 1 + random.below(10000)});
      } else {
        std::swap(pools[random.below(pools.size())], pools.back());
        pools.pop_back();
      }
      if (!pools.empty()) {
        Pool& pool = pools[random.below(pools.size())];
        for (Block& block : take(pool, pool.max_blocks())) std::memset(block.data(), me, block.size());
        ASSERT_EQ(pool.in_use(), 0u);
      }
      if (pools.size() > 20) pools.clear();
    }
  });
  EXPECT_EQ(held_by_pools(), before);
}

// --- fork ---

TEST(PoolFork, TheChildsCopyIsUsableAndIndependent) {
  Pool pool(20);
  auto blocks = take(pool, 5);
  std::memset(blocks[0].data(), 1, 4096);
  blocks.resize(3);
  in_a_child([&] {
    EXPECT_EQ(pool.in_use(), 3u);
    EXPECT_EQ(pool.free_count(), 2u);
    EXPECT_EQ(blocks[0].data()[0], std::byte{1});
    blocks[0].data()[0] = std::byte{2};
    auto const all = take(pool, 17);
    EXPECT_EQ(error_of_get(pool), errc::pool_full);
    blocks.clear();
    EXPECT_EQ(pool.in_use(), 17u);
    EXPECT_EQ(pool.high_water(), 20u);
    pool.trim();
    pool.close();
  });
  EXPECT_EQ(blocks[0].data()[0], std::byte{1});
  EXPECT_EQ(pool.in_use(), 3u);
  EXPECT_EQ(pool.free_count(), 2u);
  expect_sane(pool);
}

// Whatever the other threads were at when the process forked, the child finds every block either free or in use.
TEST(PoolFork, InTheMidstOfOtherThreads) {
  if (stealth::test::kTsan) return;  // threads after a fork from a threaded program are more than it can follow
  constexpr int kThreads = 3;
  constexpr std::size_t kBlocks = 200;
  Pool pool(kBlocks, {.block_size = 512});
  Pool wiping(kBlocks, {.block_size = 512, .wipe_on_put = true});
  std::atomic<bool> done{false};
  std::atomic<int> begun{0};
  std::vector<std::thread> threads;
  for (int me = 0; me < kThreads; ++me) {
    // Without malloc, nor in their beginning: a sanitizer's may be locked for good in the child.
    threads.emplace_back([&, me] {
      Random random(static_cast<std::uint64_t>(me));
      std::array<Block, 60> some;
      std::array<Block, 20> others;
      std::error_code error;
      ++begun;
      while (!done && !error) {
        for (std::size_t n = random.below(some.size()); n-- > 0 && !error;) some[n] = pool.get(error);
        for (std::size_t n = random.below(others.size()); n-- > 0 && !error;) others[n] = wiping.get(error);
        for (Block& block : some) block.reset();
        for (Block& block : others) block.reset();
        if (random.one_in(10)) pool.trim();
      }
      EXPECT_FALSE(error) << error.message();
    });
  }
  while (begun < kThreads) std::this_thread::yield();
  for (int i = 0; i < rounds(60); ++i) {
    in_a_child([&] {
      for (Pool* const one : {&pool, &wiping}) {
        std::size_t const out = one->in_use();
        EXPECT_LE(out, std::size_t{kThreads} * 60);
        in_threads(2, [&](int) {
          for (int n = 0; n < 100; ++n) static_cast<void>(take(*one, (kBlocks - out) / 2));
        });
        auto const rest = take(*one, kBlocks - out);
        EXPECT_EQ(error_of_get(*one), errc::pool_full);
      }
    });
    if (HasFailure()) break;
  }
  done = true;
  for (std::thread& thread : threads) thread.join();
  EXPECT_EQ(pool.in_use(), 0u);
}

TEST(PoolFork, AChildOfAChild) {
  Pool pool(10);
  auto const blocks = take(pool, 4);
  in_a_child([&] {
    auto const more = take(pool, 2);
    in_a_child([&] {
      EXPECT_EQ(pool.in_use(), 6u);
      auto const all = take(pool, 4);
      EXPECT_EQ(error_of_get(pool), errc::pool_full);
    });
    EXPECT_EQ(pool.in_use(), 6u);
  });
}

}  // namespace
