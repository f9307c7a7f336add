// BufferPools and Buffers used by several threads at once: nothing is lost, torn or counted twice, whoever waits.
#include <algorithm>
#include <array>
#include <atomic>
#include <chrono>
#include <optional>
#include <thread>

#include "buffers.hpp"

namespace {

using namespace buffers;
using std::chrono::steady_clock;
using stealth::test::Random;
using stealth::test::soon;

class BufferThreads : public testing::Test {
 protected:
  void TearDown() override { EXPECT_EQ(held_by_pools(), 0u) << "all memory has come back"; }
};

// Each writes records of its own length and letter; all of them are there in the end, whole.
TEST_F(BufferThreads, WritesToOneBufferAreWhole) {
  constexpr int kThreads = 4;
  int const many = rounds(20000);
  BufferPool pool(kGiB);
  Buffer buffer = pool.get();
  in_threads(kThreads, [&](int self) {
    std::string const record(static_cast<std::size_t>(10 + self), static_cast<char>('a' + self));
    for (int i = 0; i < many; ++i) EXPECT_EQ(buffer.write(record), record.size());
  });
  std::string_view const text = buffer.text();
  std::vector<int> seen(kThreads);
  std::size_t at = 0;
  while (at < text.size()) {
    auto const self = static_cast<std::size_t>(text[at] - 'a');
    ASSERT_LT(self, seen.size());
    ASSERT_EQ(text.substr(at, 10 + self), std::string(10 + self, text[at])) << "torn at " << at;
    at += 10 + self;
    ++seen[self];
  }
  for (int const n : seen) EXPECT_EQ(n, many);
  EXPECT_EQ(pool.stats().used, text.size());
}

// Writers, readers, and one who makes it empty: readers see whole writes.
TEST_F(BufferThreads, ReadersSeeWholeWrites) {
  BufferPool pool(kGiB);
  Buffer buffer = pool.get();
  in_threads(4, [&](int self) {
    Random random(static_cast<std::uint64_t>(self));
    for (int i = 0; i < rounds(20000); ++i) {
      if (self < 2) {
        std::uint64_t const value = random.next();
        std::uint64_t const pair[2] = {value, ~value};
        buffer.write(std::as_bytes(std::span(pair)));
        if (buffer.size() > kMiB) buffer.reset();
        continue;
      }
      std::uint64_t pair[2];
      std::error_code error;
      buffer.read_at(std::as_writable_bytes(std::span(pair)), random.below(4) * sizeof pair, error);
      if (error) {
        ASSERT_EQ(error, errc::out_of_range);
      } else {
        ASSERT_EQ(pair[0], ~pair[1]);
      }
    }
  });
}

// Whatever they do, in the end the sum is that of the sizes, and then 0.
TEST_F(BufferThreads, TheSumIsExactInTheEnd) {
  for (bool const write_backoff : {false, true}) {
    BufferPool pool(
        200000,
        {.max_pool_size = 3, .initial_interval = 1us, .max_elapsed_time = 20us, .write_backoff = write_backoff});
    constexpr int kThreads = 4;
    Buffer shared = pool.get();
    std::vector<std::vector<Buffer>> kept(kThreads);
    in_threads(kThreads, [&](int self) {
      Random random(static_cast<std::uint64_t>(self) + 100);
      std::vector<Buffer>& own = kept[static_cast<std::size_t>(self)];
      auto const bytes = pattern(100000);
      for (int i = 0; i < rounds(5000); ++i) {
        std::span const some = std::span(bytes).first(random.skewed(bytes.size()));
        if (own.size() < 5 && random.one_in(2)) own.push_back(pool.get());
        if (own.empty()) continue;
        Buffer& one = random.one_in(3) ? shared : own[random.below(own.size())];
        switch (random.below(8)) {
          case 0:
            one.reset();
            break;
          case 1:
            one.extend(some.size());
            break;
          case 2: {
            std::error_code error;
            one.write_at(some, random.below(1000), error);
            break;
          }
          case 3: {
            std::error_code error;
            one.truncate(random.below(1000), error);
            break;
          }
          case 4:
            if (&one != &shared) pool.put(std::move(one));
            own.erase(std::remove_if(own.begin(), own.end(), [](Buffer const& b) { return !b; }), own.end());
            break;
          case 5:
            EXPECT_GE(pool.fill_ratio(), 0.0);
            break;
          default:
            one.write(some);
            if (one.size() > kMiB) one.reset();
        }
      }
    });
    std::size_t sum = shared.size(), out = 1;
    for (auto const& own : kept) {
      for (Buffer const& one : own) {
        sum += one.size();
        ++out;
      }
    }
    EXPECT_EQ(pool.stats().used, sum);
    EXPECT_EQ(pool.stats().out, out);
    EXPECT_LE(pool.stats().idle, 3u);
    kept.clear();
    shared = {};
    EXPECT_EQ(pool.stats().used, 0u);
    EXPECT_EQ(pool.stats().out, 0u);
    EXPECT_EQ(pool.stats().waiting, 0u);
  }
}

// Whoever asks in the midst of writes gets a sum that was right at a moment of the call: credit is never in it.
TEST_F(BufferThreads, TheRatioIsThatOfAMoment) {
  BufferPool pool(kGiB);
  Buffer buffer = pool.get();
  std::atomic<bool> done{false};
  std::thread writes([&] {
    for (int i = 0; i < rounds(200000); ++i) buffer.write("some text that is not long");
    done = true;
  });
  while (!done) {
    std::size_t const before = buffer.size();
    std::size_t const used = pool.stats().used;
    std::size_t const after = buffer.size();
    ASSERT_LE(before, used);
    ASSERT_LE(used, after);
  }
  writes.join();
  EXPECT_EQ(pool.stats().used, buffer.size());
}

// No buffer is anybody else's.
TEST_F(BufferThreads, GetAndPut) {
  BufferPool pool(kGiB, {.max_pool_size = 2});
  in_threads(4, [&](int self) {
    for (int i = 0; i < rounds(3000); ++i) {
      Buffer one = pool.get(), two = pool.get();
      ASSERT_EQ(one.size(), 0u);
      one.write(pattern(100, self));
      two.write(pattern(50, self + 10));
      std::this_thread::yield();
      ASSERT_TRUE(std::equal(one.bytes().begin(), one.bytes().end(), pattern(100, self).begin()));
      ASSERT_EQ(two.size(), 50u);
      pool.put(std::move(two));
    }
  });
  EXPECT_EQ(pool.stats().used, 0u);
  EXPECT_LE(pool.stats().idle, 2u);
}

// All wait; one release lets them go, though each could have waited for the better part of an hour.
TEST_F(BufferThreads, AReleaseWakesAllWhoWait) {
  BufferPool pool(1000, {.initial_interval = 1h, .max_elapsed_time = 1h, .write_backoff = true});
  Buffer other = pool.get(), full = pool.make_buffer(pattern(1000));
  std::thread releases([&] {
    EXPECT_TRUE(soon([&] { return pool.stats().waiting == 6; }));
    full.reset();
  });
  in_threads(6, [&](int self) {
    if (self % 3 == 0) static_cast<void>(pool.get());
    if (self % 3 == 1) other.write("x");
    if (self % 3 == 2) pool.backoff();
  });
  releases.join();
  EXPECT_EQ(other.size(), 2u);
  EXPECT_EQ(pool.stats().waits, 6u);
}

// Whatever it is that waits when the pool is destroyed, it ends as at a close.
TEST_F(BufferThreads, TheEndWakesAllWhoWait) {
  std::optional<BufferPool> pool(
      std::in_place, 10, BufferPoolOptions{.initial_interval = 1h, .max_elapsed_time = 1h, .write_backoff = true});
  Buffer full = pool->make_buffer("0123456789");
  stealth_buffer_pool* const handle = pool->handle();
  std::thread ends([&] {
    EXPECT_TRUE(soon([&] { return pool->stats().waiting == 5; }));
    pool.reset();
  });
  in_threads(5, [&](int self) {
    stealth_buffer* made = nullptr;
    int const error = self == 0   ? stealth_buffer_pool_get(handle, &made)
                      : self == 1 ? stealth_buffer_pool_make(handle, "x", 1, &made)
                      : self == 2 ? stealth_buffer_pool_backoff(handle, nullptr)
                      : self == 3 ? stealth_buffer_pool_count(handle, 1)
                                  : stealth_buffer_write(full.handle(), "x", 1);
    EXPECT_EQ(error, STEALTH_POOL_CLOSED) << self;
    EXPECT_EQ(made, nullptr);
  });
  ends.join();
  EXPECT_EQ(stealth_buffer_pool_backoff(handle, nullptr), STEALTH_INVALID_HANDLE) << "who comes later";
}

// A release that has room for one write lets one go: what others add until they are looked at counts.
TEST_F(BufferThreads, AReleaseAdmitsNoMoreThanTheTarget) {
  BufferPool pool(1000, {.initial_interval = 1h, .max_elapsed_time = 1h, .write_backoff = true});
  Buffer other = pool.get(), full = pool.make_buffer(pattern(1000));
  std::atomic<int> done{0};
  std::vector<std::thread> writers;
  for (int i = 0; i < 4; ++i) {
    writers.emplace_back([&] {
      std::error_code error;
      other.write(pattern(500), error);
      if (!error) ++done;
    });
  }
  EXPECT_TRUE(soon([&] { return pool.stats().waiting == 4; }));
  full.truncate(600);
  EXPECT_TRUE(soon([&] { return pool.stats().waiting == 3; }));
  EXPECT_TRUE(soon([&] { return done == 1; }));
  std::this_thread::sleep_for(20ms);
  EXPECT_EQ(done, 1) << "600 + 500: the next one would wait";
  EXPECT_EQ(pool.stats().used, 1100u);
  pool.close();
  for (std::thread& writer : writers) writer.join();
  EXPECT_EQ(done, 1);
}

TEST_F(BufferThreads, CloseEndsAllWaits) {
  BufferPool pool(1000, {.initial_interval = 1h, .max_elapsed_time = 1h, .write_backoff = true});
  Buffer full = pool.make_buffer(pattern(1000));
  std::thread closes([&] {
    EXPECT_TRUE(soon([&] { return pool.stats().waiting == 6; }));
    pool.close();
    pool.close();
  });
  in_threads(6, [&](int self) {
    std::error_code error;
    if (self % 3 == 0) static_cast<void>(pool.get(error));
    if (self % 3 == 1) full.write("x", error);
    if (self % 3 == 2) pool.backoff(error);
    EXPECT_EQ(error, errc::pool_closed);
  });
  closes.join();
  EXPECT_EQ(full.size(), 1000u);
}

// Destroyed while others wait with it, and while a writer waits whose buffer goes back meanwhile.
TEST_F(BufferThreads, DestroyEndsAllWaits) {
  for (int i = 0; i < rounds(20); ++i) {
    stealth_buffer_pool* pool = nullptr;
    struct stealth_buffer_pool_options options = {};
    options.size = sizeof options;
    options.initial_interval_ns = options.max_elapsed_ns = 3'600'000'000'000;
    options.flags = STEALTH_BUFFERS_WRITE_BACKOFF;
    ASSERT_EQ(stealth_buffer_pool_create(10, &options, &pool), STEALTH_OK);
    stealth_buffer* full = nullptr;
    ASSERT_EQ(stealth_buffer_pool_make(pool, "0123456789", 10, &full), STEALTH_OK);
    std::thread writes([&] {
      int const error = stealth_buffer_write(full, "x", 1);
      EXPECT_TRUE(error == STEALTH_POOL_CLOSED || error == STEALTH_INVALID_HANDLE) << error;
    });
    std::thread gets([&] {
      stealth_buffer* buffer = nullptr;
      int const error = stealth_buffer_pool_get(pool, &buffer);
      EXPECT_TRUE(error == STEALTH_POOL_CLOSED || error == STEALTH_INVALID_HANDLE) << error;
    });
    struct stealth_buffer_pool_statistics now = {};
    now.size = sizeof now;
    EXPECT_TRUE(soon([&] { return stealth_buffer_pool_stats(pool, &now) == STEALTH_OK && now.waiting == 2; }));
    EXPECT_EQ(stealth_buffer_pool_destroy(pool), STEALTH_OK);
    EXPECT_EQ(stealth_buffer_release(full), STEALTH_OK);
    writes.join();
    gets.join();
    EXPECT_EQ(held_by_pools(), 0u);
  }
}

// Two writers of one buffer, one of which makes it empty while the other waits.
TEST_F(BufferThreads, AWaitingWriterSeesTheBufferAsItIsThen) {
  BufferPool pool(1000, {.initial_interval = 1h, .max_elapsed_time = 1h, .write_backoff = true});
  Buffer buffer = pool.make_buffer(pattern(1000));
  std::thread writes([&] { buffer.write("first"); });
  EXPECT_TRUE(soon([&] { return pool.stats().waiting == 1; }));
  buffer.reset();
  writes.join();
  EXPECT_EQ(buffer.text(), "first");
  EXPECT_EQ(pool.stats().used, 5u);
}

// The wait is not shorter than the law says: no interval that others have shortened, and no clock that jumps.
TEST_F(BufferThreads, WaitsAreNotShorter) {
  BufferPool pool(1000, {.initial_interval = 20ms, .randomization_factor = 0.25});
  Buffer const full = pool.make_buffer(pattern(1000));
  std::array<Buffer, 8> got;  // until all have waited: one that came back idle would end the others' waits
  in_threads(8, [&](int i) {
    auto const begin = steady_clock::now();
    got[static_cast<std::size_t>(i)] = pool.get();
    EXPECT_GE(steady_clock::now() - begin, 15ms);
  });
}

}  // namespace
