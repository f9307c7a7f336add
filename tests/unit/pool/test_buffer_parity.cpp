// What the ancestor of BufferPool could do, row by row, and its defects, each mended. Time is dreamt (dream.hpp): waits
// cost nothing, and are exact.
#include <limits>

#include "../capacity/dream.hpp"
#include "buffers.hpp"
#include "fake_sys.hpp"
#include "pool/buffer_law.hpp"

namespace {

using namespace buffers;
using stealth::test::Dream;
namespace fake = stealth::fake;

constexpr std::uint64_t kMs = 1'000'000, kSecond = 1000 * kMs;

class BufferParity : public testing::Test {
 protected:
  void TearDown() override { EXPECT_EQ(held_by_pools(), 0u) << "all memory has come back"; }

  [[nodiscard]] std::uint64_t waits() const { return dream_.sleeps.size(); }
  // The single wait since the last call of this.
  [[nodiscard]] std::uint64_t one_wait() {
    EXPECT_EQ(dream_.sleeps.size(), 1u);
    std::uint64_t const ns = dream_.slept();
    dream_.sleeps.clear();
    return ns;
  }

  fake::Fresh fresh_;
  Dream dream_;
};

void expect_within(std::uint64_t ns, std::uint64_t interval, double factor = 0.5) {
  EXPECT_GE(static_cast<double>(ns), static_cast<double>(interval) * (1 - factor) - 1);
  EXPECT_LE(static_cast<double>(ns), static_cast<double>(interval) * (1 + factor) + 1);
}

// --- NewBufferPool and its options ---

TEST_F(BufferParity, NewBufferPoolWithDefaults) {
  BufferPool pool(27 * kKiB);
  EXPECT_EQ(pool.target_size(), 27 * kKiB);
  EXPECT_EQ(pool.fill_ratio(), 0.0);
  Buffer buffer = pool.get();
  fill(buffer, 27 * kKiB);
  EXPECT_EQ(waits(), 0u) << "up to the target";
  fill(buffer, 1);
  EXPECT_EQ(waits(), 0u) << "WriteBackOff is off";
  buffer.truncate(27 * kKiB);
  for (int i = 0; i < 50; ++i) {
    pool.backoff();
    expect_within(one_wait(), 500 * kMs);  // InitialInterval, RandomizationFactor
  }
  fill(buffer, 27 * kMiB);
  pool.backoff();
  EXPECT_GE(one_wait(), 15 * kSecond / 2);  // MaxElapsedTime
}

TEST_F(BufferParity, MaxPoolSizeIs27) {
  BufferPool pool(kMiB);
  std::vector<Buffer> all;
  for (int i = 0; i < 40; ++i) all.push_back(pool.get());
  EXPECT_EQ(pool.stats().out, 40u);
  all.clear();
  EXPECT_EQ(pool.stats().idle, 27u);
  EXPECT_EQ(pool.stats().out, 0u);
  EXPECT_EQ(pool.stats().dropped, 13u);
}

TEST_F(BufferParity, OptionsAtZeroTakeTheirDefaults) {
  BufferPool pool(1000, {.max_pool_size = 0,
                         .initial_interval = 0ns,
                         .randomization_factor = 0,
                         .max_elapsed_time = 0ns,
                         .max_buffer_size = 0});
  Buffer buffer = pool.get();
  fill(buffer, 1000);
  std::set<std::uint64_t> different;
  for (int i = 0; i < 20; ++i) {
    pool.backoff();
    std::uint64_t const ns = one_wait();
    expect_within(ns, 500 * kMs);
    different.insert(ns);
  }
  EXPECT_GT(different.size(), 15u) << "drawn, not always the same";
  EXPECT_EQ(error_of([&](auto& error) { buffer.write_at("x", kGiB, error); }), errc::out_of_range);
}

TEST_F(BufferParity, OptionsAreObeyed) {
  BufferPool pool(1000, {.max_pool_size = 2,
                         .initial_interval = 10ms,
                         .randomization_factor = 0.1,
                         .max_elapsed_time = 25ms,
                         .write_backoff = true,
                         .max_buffer_size = 5000});
  Buffer buffer = pool.get();
  fill(buffer, 1000);
  for (int i = 0; i < 20; ++i) {
    pool.backoff();
    expect_within(one_wait(), 10 * kMs, 0.1);
  }
  fill(buffer, 4000);
  expect_within(one_wait(), 10 * kMs, 0.1);
  pool.backoff();
  expect_within(one_wait(), 25 * kMs, 0.1);
  EXPECT_EQ(error_of([&](auto& error) { buffer.write("x", error); }), errc::out_of_range);
  EXPECT_EQ(waits(), 0u) << "who cannot write does not wait to hear so";
}

// --- Get ---

TEST_F(BufferParity, GetNeverRefusesButWaitsGraduallyAboveTheTarget) {
  BufferPool pool(kMiB, {.randomization_factor = 0.001});
  std::vector<Buffer> all;
  std::uint64_t last = 0;
  for (int i = 0; i < 20; ++i) {
    all.push_back(pool.get());
    std::uint64_t const waited = dream_.slept();
    dream_.sleeps.clear();
    if (pool.fill_ratio() < 1) {
      EXPECT_EQ(waited, 0u);
    } else {
      EXPECT_GT(waited, last + last / 100) << "at " << pool.fill_ratio();
      last = waited;
    }
    fill(all.back(), kMiB / 4);
  }
  EXPECT_EQ(pool.fill_ratio(), 5.0);
}

TEST_F(BufferParity, GetTakesAnIdleBufferAtOnceTheLastUsedFirst) {
  BufferPool pool(27 * 100);
  Buffer first = pool.get(), second = pool.get(), large = pool.get();
  std::byte* const at_first = first.data();
  std::byte* const at_second = second.data();
  pool.put(std::move(first));
  pool.put(std::move(second));
  fill(large, 5000);
  EXPECT_EQ(pool.get().data(), at_second);
  EXPECT_EQ(pool.get().data(), at_second);
  Buffer const again = pool.get(), other = pool.get();
  EXPECT_EQ(other.data(), at_first);
  EXPECT_EQ(waits(), 0u);
  static_cast<void>(pool.get());
  EXPECT_EQ(waits(), 1u) << "this one is new";
}

TEST_F(BufferParity, GetWaitingTakesWhatBecomesIdle) {
  BufferPool pool(27 * 100);
  Buffer small = pool.get(), large = pool.get();
  std::byte* const at = small.data();
  fill(large, 10000);
  dream_.in(3 * kMs, [&] { pool.put(std::move(small)); });
  EXPECT_EQ(pool.get().data(), at);
  EXPECT_EQ(one_wait(), 3 * kMs);
}

// --- Put ---

TEST_F(BufferParity, PutResets) {
  BufferPool pool(kMiB);
  Buffer buffer = pool.make_buffer("something");
  std::byte* const at = buffer.data();
  pool.put(std::move(buffer));
  EXPECT_FALSE(buffer);
  EXPECT_EQ(pool.fill_ratio(), 0.0);
  buffer = pool.get();
  EXPECT_EQ(buffer.data(), at);
  EXPECT_EQ(buffer.size(), 0u);
}

TEST_F(BufferParity, PutDropsOversizedBuffers) {
  BufferPool pool(27 * 1000);
  Buffer fits = pool.get(), oversized = pool.get();
  fill(fits, 1000);
  fill(oversized, 1001);
  std::byte* const at = oversized.data();
  pool.put(std::move(oversized));
  EXPECT_EQ(pool.stats().idle, 0u) << "what it was before the reset counts";
  expect_fault(at);
  pool.put(std::move(fits));
  EXPECT_EQ(pool.stats().idle, 1u);
  EXPECT_EQ(pool.stats().dropped, 1u);
}

TEST_F(BufferParity, PutResetsTheIntervalBelowTheTarget) {
  BufferPool pool(1000);
  Buffer large = pool.get(), small = pool.get();
  fill(small, 600);
  fill(large, 3400);
  pool.backoff();
  expect_within(one_wait(), 16 * 500 * kMs);
  pool.put(std::move(large));
  pool.backoff();
  EXPECT_EQ(waits(), 0u);
  fill(small, 400);
  pool.backoff();
  expect_within(one_wait(), 500 * kMs);
}

// --- Buffer ---

TEST_F(BufferParity, WriteAndRead) {
  BufferPool pool(kMiB);
  Buffer buffer = pool.get();
  auto const bytes = pattern(10000);
  EXPECT_EQ(buffer.write(std::span(bytes).first(3)), 3u);
  EXPECT_EQ(buffer.write(std::span(bytes).subspan(3)), 9997u);
  std::vector<std::byte> out(10000);
  EXPECT_EQ(buffer.read(out), 10000u);
  EXPECT_EQ(out, bytes);
  out.resize(10);
  EXPECT_EQ(buffer.read(out), 10u) << "it starts at 0 each time";
  EXPECT_TRUE(std::equal(out.begin(), out.end(), bytes.begin()));
}

TEST_F(BufferParity, WriteAtAndReadAt) {
  BufferPool pool(kMiB);
  Buffer buffer = pool.make_buffer("0123456789");
  EXPECT_EQ(buffer.write_at("ab", 0), 2u);
  EXPECT_EQ(buffer.write_at("xy", 4), 2u);
  EXPECT_EQ(buffer.text(), "ab23xy6789");
  EXPECT_EQ(buffer.write_at("end", 9), 3u) << "over the end";
  EXPECT_EQ(buffer.write_at("!", 12), 1u) << "at the end";
  EXPECT_EQ(buffer.text(), "ab23xy678end!");
  std::vector<std::byte> out(4);
  EXPECT_EQ(buffer.read_at(out, 9), 4u);
  EXPECT_EQ(std::memcmp(out.data(), "end!", 4), 0);
  EXPECT_EQ(pool.stats().used, 13u);
}

TEST_F(BufferParity, BytesSliceSizeAndInternal) {
  BufferPool pool(kMiB);
  Buffer buffer = pool.make_buffer("0123456789");
  EXPECT_EQ(buffer.size(), 10u);
  EXPECT_EQ(buffer.bytes().size(), 10u);
  EXPECT_EQ(buffer.bytes().data(), buffer.data());
  buffer.bytes()[0] = std::byte{'x'};
  auto const slice = buffer.slice(0, 3);
  ASSERT_EQ(slice.size(), 3u);
  EXPECT_EQ(std::memcmp(slice.data(), "x12", 3), 0);
  buffer.bytes()[0] = std::byte{'y'};
  EXPECT_EQ(slice[0], std::byte{'x'}) << "a copy";
  EXPECT_TRUE(buffer.slice(10, 10).empty());
}

TEST_F(BufferParity, Extend) {
  BufferPool pool(kMiB);
  Buffer buffer = pool.make_buffer("abc");
  EXPECT_EQ(buffer.extend(5), 3u);
  EXPECT_EQ(buffer.size(), 8u);
  EXPECT_EQ(std::memcmp(buffer.data(), "abc\0\0\0\0\0", 8), 0);
  EXPECT_EQ(pool.stats().used, 8u);
  buffer.reset();
  fill(buffer, 100);
  std::memset(buffer.data(), 'x', 100);
  buffer.truncate(10);
  EXPECT_EQ(buffer.extend(50), 10u);
  for (std::size_t i = 0; i < 60; ++i) EXPECT_EQ(buffer.bytes()[i], std::byte(i < 10 ? 'x' : 0)) << i;
  pool.put(std::move(buffer));
  buffer = pool.get();
  buffer.extend(1000);
  for (std::byte const byte : buffer.bytes()) EXPECT_EQ(byte, std::byte{0}) << "nothing of whoever had it before";
}

TEST_F(BufferParity, Reset) {
  BufferPool pool(kMiB);
  Buffer buffer = pool.make_buffer("something");
  std::byte* const at = buffer.data();
  buffer.reset();
  EXPECT_EQ(buffer.size(), 0u);
  EXPECT_EQ(pool.fill_ratio(), 0.0);
  buffer.write("again");
  EXPECT_EQ(buffer.data(), at);
  EXPECT_EQ(buffer.text(), "again");
}

TEST_F(BufferParity, NewBufferIsCounted) {
  BufferPool pool(1000);
  {
    Buffer buffer = pool.make_buffer(pattern(250));
    EXPECT_EQ(pool.fill_ratio(), 0.25);
    buffer.reset();
    EXPECT_EQ(pool.fill_ratio(), 0.0);
    buffer.write(pattern(100));
    EXPECT_EQ(pool.fill_ratio(), 0.1);
  }
  EXPECT_EQ(pool.fill_ratio(), 0.0);
  Buffer const full = pool.make_buffer(pattern(1000));
  EXPECT_EQ(waits(), 0u);
  Buffer const more = pool.make_buffer("x");
  EXPECT_EQ(waits(), 1u);
}

TEST_F(BufferParity, NewBufferWaitsOnce) {
  BufferPool pool(100, {.write_backoff = true});
  Buffer const full = pool.make_buffer(pattern(100));
  Buffer const one = pool.make_buffer("x");
  expect_within(one_wait(), 510 * kMs, 0.52);
  pool.put(pool.make_buffer("y"));  // leaves an idle one
  EXPECT_EQ(pool.stats().idle, 1u);
  dream_.sleeps.clear();
  Buffer const two = pool.make_buffer("z");
  EXPECT_EQ(waits(), 1u) << "into an idle one it is a write";
}

TEST_F(BufferParity, CapacityIsTheFillRatio) {
  BufferPool pool(1000);
  Buffer one = pool.get(), two = pool.get();
  for (int i = 1; i <= 300; ++i) {
    one.write("x");
    two.write("abc");
    EXPECT_DOUBLE_EQ(pool.fill_ratio(), 4 * i / 1000.0);
  }
  two.truncate(100);
  EXPECT_DOUBLE_EQ(pool.fill_ratio(), 0.4);
  two = {};
  EXPECT_DOUBLE_EQ(pool.fill_ratio(), 0.3);
}

TEST_F(BufferParity, Backoff) {
  BufferPool pool(1000);
  EXPECT_EQ(pool.backoff(), 0ns);
  Buffer const buffer = pool.make_buffer(pattern(1500));
  auto const waited = pool.backoff();
  EXPECT_EQ(static_cast<std::uint64_t>(waited.count()), dream_.slept());
  expect_within(one_wait(), 1125 * kMs);
}

TEST_F(BufferParity, DoneIsClose) {
  BufferPool pool(1000);
  Buffer buffer = pool.make_buffer("some");
  pool.put(pool.get());
  pool.close();
  EXPECT_EQ(error_of([&](auto& error) { static_cast<void>(pool.get(error)); }), errc::pool_closed);
  EXPECT_EQ(thrown_by([&] { static_cast<void>(pool.get()); }), errc::pool_closed);
  EXPECT_EQ(error_of([&](auto& error) { pool.backoff(error); }), errc::pool_closed);
  EXPECT_EQ(error_of([&](auto& error) { static_cast<void>(pool.make_buffer("x", error)); }), errc::pool_closed);
  EXPECT_EQ(error_of([&](auto& error) { buffer.write("x", error); }), errc::pool_closed);
  EXPECT_EQ(error_of([&](auto& error) { buffer.write("", error); }), errc::pool_closed);
  EXPECT_EQ(error_of([&](auto& error) { buffer.extend(1, error); }), errc::pool_closed);
  EXPECT_EQ(buffer.text(), "some");
  EXPECT_EQ(error_of([&](auto& error) { pool.put(std::move(buffer), error); }), errc::pool_closed);
  EXPECT_FALSE(buffer);
  EXPECT_EQ(pool.stats().held, 0u);
  EXPECT_EQ(pool.fill_ratio(), 0.0);
  EXPECT_EQ(pool.stats().closed, 1u);
}

TEST_F(BufferParity, TheIdleDrainDropsOneIn30Seconds) {
  dream_.coarse_too = true;
  BufferPool pool(kMiB);
  {
    std::vector<Buffer> all;
    for (int i = 0; i < 5; ++i) all.push_back(pool.make_buffer("x"));
  }
  Buffer const newest = pool.get();
  pool.put(pool.get());
  dream_.pass(29 * kSecond);
  EXPECT_EQ(pool.stats().idle, 4u);
  dream_.pass(1 * kSecond);
  EXPECT_EQ(pool.stats().idle, 3u);
  EXPECT_EQ(pool.stats().held, 4 * 4096u) << "its memory has gone back";
  dream_.pass(59 * kSecond);
  EXPECT_EQ(pool.stats().idle, 2u);
  dream_.pass(1 * kSecond);
  static_cast<void>(pool.fill_ratio());
  EXPECT_EQ(pool.stats().idle, 1u);
  dream_.pass(3600 * kSecond);
  pool.put(pool.get());
  EXPECT_EQ(pool.stats().idle, 1u) << "what comes after the time is not what was idle all the while";
}

// Nobody has to look at it before its time begins.
TEST_F(BufferParity, TheIdleDrainDropsTheLastOne) {
  dream_.coarse_too = true;
  BufferPool pool(kMiB);
  for (int round = 0; round < 3; ++round) {
    dream_.pass(100 * kSecond);
    pool.put(pool.make_buffer("x"));
    dream_.pass(29 * kSecond);
    pool.put(pool.get());
    dream_.pass(29 * kSecond);
    EXPECT_EQ(pool.stats().idle, 1u) << "it was out meanwhile";
    dream_.pass(1 * kSecond);
    EXPECT_EQ(pool.stats().idle, 0u);
    EXPECT_EQ(pool.stats().held, 0u);
  }
}

// --- the example, writing without end ---

// Without a capacity to hold it back it grows at the speed of memory, up to what one buffer may hold.
TEST_F(BufferParity, ExampleWithoutCapacity) {
  BufferPool pool(kMiB, {.max_buffer_size = 16 * kMiB});
  Buffer buffer = pool.get();
  std::error_code error;
  auto const text = pattern(1000);
  while (!error) buffer.write(text, error);
  EXPECT_EQ(error, errc::out_of_range);
  EXPECT_EQ(buffer.size(), 16 * kMiB / 1000 * 1000);
  EXPECT_EQ(waits(), 0u);
}

// With it: in a time T, writes of w bytes take it at most to target + w * (1 + T / (interval * (1 - factor))), and as
// the interval grows with the square of the ratio, in truth far less.
TEST_F(BufferParity, ExampleWithCapacity) {
  constexpr std::uint64_t kHour = 3600 * kSecond;
  BufferPool pool(kMiB, {.write_backoff = true});
  Buffer buffer = pool.get();
  auto const text = pattern(10000);
  std::uint64_t const begin = dream_.now();
  while (buffer.size() < kMiB) buffer.write(text);
  EXPECT_EQ(waits(), 0u) << "below the target nothing waits";
  while (dream_.now() < begin + kHour) buffer.write(text);
  EXPECT_LE(buffer.size(), kMiB + 10000 * (1 + kHour / (250 * kMs)));
  EXPECT_LE(buffer.size(), 7 * kMiB) << "the cube root of 1 + 3 * w / target * T / interval is 5.9";
  EXPECT_GE(buffer.size(), 5 * kMiB) << "it is slowed down, not stopped";
}

// --- the ancestor's defects ---

TEST_F(BufferParity, MaxElapsedTimeBoundsTheElapsedTime) {
  BufferPool pool(100, {.initial_interval = 400ms, .max_elapsed_time = 1s, .write_backoff = true});
  Buffer buffer = pool.make_buffer(pattern(100)), other = pool.make_buffer("");
  for (std::size_t const more : {100u, 1000u, 100000u, 10000000u}) {
    dream_.sleeps.clear();
    other.extend(more);
    std::uint64_t const begin = dream_.now();
    // Releases that change little wake it again and again; the time is that since the call began.
    for (std::uint64_t at = 1; at < 100; ++at) dream_.in(at * 20 * kMs, [&] { other.truncate(other.size() - 1); });
    buffer.write("x");
    EXPECT_LE(dream_.now() - begin, 1000 * kMs);
    EXPECT_GT(waits(), 2u);
    dream_.nothing_more();
    static_cast<void>(pool.backoff());
  }
}

TEST_F(BufferParity, WaitersDoNotEscalateOneAnother) {
  BufferPool pool(1000);
  Buffer const buffer = pool.make_buffer(pattern(1100));
  for (int i = 0; i < 1000; ++i) pool.backoff();
  for (auto const& one : dream_.sleeps) expect_within(one.end - one.begin, 605 * kMs);
}

TEST_F(BufferParity, NoLockIsHeldWhileWaiting) {
  BufferPool pool(100, {.write_backoff = true});
  Buffer buffer = pool.make_buffer(pattern(100));
  int done = 0;
  // In the midst of the wait, whatever does not wait itself. A lock that was held would never come free in a dream.
  dream_.in(10 * kMs, [&] {
    ++done;
    EXPECT_EQ(buffer.size(), 100u);
    std::vector<std::byte> out(100);
    EXPECT_EQ(buffer.read(out), 100u);
    EXPECT_EQ(pool.fill_ratio(), 1.0);
    EXPECT_EQ(pool.stats().waiting, 1u);
    pool.put(pool.make_buffer(""));
  });
  dream_.in(20 * kMs, [&] {
    ++done;
    static_cast<void>(pool.trim());
    EXPECT_EQ(buffer.write(""), 0u);
  });
  buffer.write("x");
  EXPECT_EQ(done, 2);
  EXPECT_EQ(buffer.size(), 101u);
  EXPECT_EQ(pool.stats().waiting, 0u);
}

TEST_F(BufferParity, AReleaseWakesTheWaiterEarly) {
  BufferPool pool(1000, {.write_backoff = true});
  Buffer large = pool.make_buffer(pattern(1000)), small = pool.get();
  for (int const how : {0, 1, 2, 3}) {
    dream_.sleeps.clear();
    dream_.in(7 * kMs, [&] {
      if (how == 0) large.truncate(999);
      if (how == 1) large.reset();
      if (how == 2) pool.put(std::move(large));
      if (how == 3) large = {};
    });
    if (how % 2 == 0) small.write("x");
    if (how == 1) static_cast<void>(pool.backoff());
    if (how == 3) static_cast<void>(pool.make_buffer("x"));
    EXPECT_EQ(one_wait(), 7 * kMs) << how;
    small.reset();
    large = {};
    large = pool.make_buffer(pattern(1000));
    static_cast<void>(pool.trim());
  }
}

TEST_F(BufferParity, ASmallReleaseMakesTheWaitAsShortAsItsRatioSays) {
  BufferPool pool(1000, {.randomization_factor = 0.001});
  Buffer large = pool.make_buffer(pattern(3000));
  dream_.in(100 * kMs, [&] { large.truncate(2000); });
  pool.backoff();
  EXPECT_EQ(waits(), 2u);
  EXPECT_NEAR(static_cast<double>(dream_.slept()), 4.0 * 500 * kMs, 4.0 * kMs);
}

TEST_F(BufferParity, WhatOthersAddMeanwhileMakesNoWaitLonger) {
  BufferPool pool(1000, {.randomization_factor = 0.001});
  Buffer large = pool.make_buffer(pattern(1000)), other = pool.make_buffer("x");
  dream_.sleeps.clear();
  dream_.in(100 * kMs, [&] { large.extend(9000); });
  dream_.in(200 * kMs, [&] { other.reset(); });  // and makes it look again
  pool.backoff();
  EXPECT_NEAR(static_cast<double>(dream_.slept()), 1.0 * 501 * kMs, 2.0 * kMs);
}

TEST_F(BufferParity, EveryByteIsCountedOnceAndGivenBackOnce) {
  BufferPool pool(100000);
  Buffer one = pool.make_buffer(pattern(1000)), two = pool.get();
  two.write(pattern(10));
  two.write_at(pattern(10), 10);  // at the end: the ancestor did not count it
  two.write_at(pattern(10), 15);
  two.extend(5);
  two.write(pattern(100));
  EXPECT_EQ(pool.stats().used, 1000u + 25 + 5 + 100);
  two.reset();
  two.reset();
  EXPECT_EQ(pool.stats().used, 1000u);
  EXPECT_EQ(error_of([&](auto& error) { two.write_at("x", 1, error); }), errc::out_of_range);
  EXPECT_EQ(pool.stats().used, 1000u);
  pool.put(std::move(one));
  pool.put(std::move(two));
  EXPECT_EQ(pool.stats().used, 0u);
  EXPECT_EQ(pool.fill_ratio(), 0.0);
}

TEST_F(BufferParity, SizesBeyond32Bits) {
  BufferPool pool(std::size_t{8} << 30, {.max_buffer_size = std::size_t{6} << 30});
  Buffer one = pool.get(), two = pool.get();
  fill(one, std::size_t{5} << 30);
  fill(two, std::size_t{2} << 30);
  EXPECT_EQ(one.size(), std::size_t{5} << 30);
  EXPECT_EQ(pool.fill_ratio(), 7.0 / 8);
  one.write_at("far", (std::size_t{5} << 30) - 1);
  EXPECT_EQ(one.size(), (std::size_t{5} << 30) + 2);
  fill(two, std::size_t{2} << 30);
  EXPECT_GT(pool.fill_ratio(), 1.0);
  pool.backoff();
  EXPECT_EQ(waits(), 1u);
}

TEST_F(BufferParity, ReadingOrWritingPastTheEndIsOutOfRange) {
  BufferPool pool(kMiB, {.max_buffer_size = 100});
  Buffer buffer = pool.make_buffer("0123456789");
  std::vector<std::byte> out(11, std::byte{'?'});
  std::vector<std::error_code> const errors = {
      error_of([&](auto& error) { buffer.read(out, error); }),
      error_of([&](auto& error) { buffer.read_at(out, 10, error); }),
      error_of([&](auto& error) { buffer.read_at(std::span(out).first(0), 11, error); }),
      error_of([&](auto& error) { static_cast<void>(buffer.slice(5, 11, error)); }),
      error_of([&](auto& error) { static_cast<void>(buffer.slice(6, 5, error)); }),
      error_of([&](auto& error) { static_cast<void>(buffer.as_iovec(0, 11, error)); }),
      error_of([&](auto& error) { buffer.write_at("x", 11, error); }),
      error_of([&](auto& error) { buffer.write_at("", 11, error); }),
      error_of([&](auto& error) { buffer.write_at("x", ~std::size_t{0}, error); }),
      error_of([&](auto& error) { buffer.write_at("x", ~std::size_t{0} - 1, error); }),
      error_of([&](auto& error) { buffer.truncate(11, error); }),
      error_of([&](auto& error) { buffer.extend(91, error); }),
      error_of([&](auto& error) { buffer.extend(~std::size_t{0}, error); }),
      error_of([&](auto& error) { buffer.write(pattern(91), error); }),
      thrown_by([&] { buffer.read(out); }),
      thrown_by([&] { static_cast<void>(buffer.slice(5, 11)); }),
      thrown_by([&] { buffer.write_at("x", 11); }),
      thrown_by([&] { buffer.extend(91); }),
      error_of([&](auto& error) { static_cast<void>(pool.make_buffer(pattern(101), error)); }),
  };
  for (std::size_t i = 0; i < errors.size(); ++i) EXPECT_EQ(errors[i], errc::out_of_range) << i;
  EXPECT_EQ(out[0], std::byte{'?'});
  EXPECT_EQ(buffer.text(), "0123456789");
  EXPECT_EQ(pool.stats().used, 10u);
  EXPECT_EQ(pool.stats().out, 1u);
  EXPECT_EQ(buffer.write(pattern(90)), 90u) << "to the last byte";
}

TEST_F(BufferParity, AnEmptyWriteIsNothing) {
  BufferPool pool(10, {.write_backoff = true});
  Buffer buffer = pool.make_buffer("0123456789");
  EXPECT_EQ(buffer.write(""), 0u);
  EXPECT_EQ(buffer.write(std::span<std::byte const>()), 0u);
  EXPECT_EQ(buffer.write_at("", 10), 0u);
  EXPECT_EQ(buffer.extend(0), 10u);
  EXPECT_EQ(buffer.read(std::span<std::byte>()), 0u);
  EXPECT_EQ(waits(), 0u);
  EXPECT_EQ(buffer.size(), 10u);
}

TEST_F(BufferParity, CloseActsAtOnceAndTwiceIsHarmless) {
  BufferPool pool(100, {.write_backoff = true});
  Buffer buffer = pool.make_buffer(pattern(100));
  for (int const what : {0, 1, 2}) {
    BufferPool other(100, {.write_backoff = true});
    Buffer full = other.make_buffer(pattern(100));
    dream_.sleeps.clear();
    dream_.in(5 * kMs, [&] {
      other.close();
      other.close();
    });
    std::error_code error;
    if (what == 0) static_cast<void>(other.get(error));
    if (what == 1) full.write("x", error);
    if (what == 2) other.backoff(error);
    EXPECT_EQ(error, errc::pool_closed);
    EXPECT_EQ(one_wait(), 5 * kMs);
    EXPECT_EQ(full.size(), 100u);
  }
}

TEST_F(BufferParity, TheDelayGrowsWithTheFillRatio) {
  using stealth::BufferLaw;
  for (std::uint64_t const initial : {std::uint64_t{1}, 500 * kMs, 100 * kSecond}) {
    for (double const factor : {1e-9, 0.5, 1.0}) {
      BufferLaw const law{initial, 15 * kSecond, factor};
      for (std::uint64_t const target : {std::uint64_t{1}, std::uint64_t{1000}, std::uint64_t{1} << 40}) {
        for (double const where : {-1.0, -0.3, 0.0, 0.9, 1.0}) {
          EXPECT_EQ(delay_ns(law, target - 1, target, where), 0u);
          std::uint64_t last = 0;
          for (std::uint64_t used = target; used < target * 100; used += 1 + used / 50) {
            std::uint64_t const now = delay_ns(law, used, target, where);
            EXPECT_GE(now, last);
            EXPECT_LE(now, law.most_ns);
            last = now;
          }
        }
        EXPECT_EQ(interval_ns(law, target, target), std::min(initial, law.most_ns));
        EXPECT_LT(delay_ns(law, target, target, -1.0), law.most_ns + 1);
      }
    }
  }
  static_assert(stealth::delay_ns({}, ~std::uint64_t{0}, 1, 1.0) == 15'000'000'000);
}

}  // namespace
