// The memory of buffers and the process's capacity: what is charged, who waits, what the policy does, what goes first.
#include <chrono>
#include <thread>

#include "buffers.hpp"

namespace {

using namespace buffers;

// Every test begins with 16 MiB to be had, and leaves no capacity behind.
class BufferCapacity : public testing::Test {
 protected:
  void SetUp() override {
    stealth::set("capacity", "16m");
    stealth::set("on_exhausted", "enomem");
    stealth::set("backoff_patience", "100ms");
    stealth::set("backoff_budget", "100%");
    refusals_before_ = stealth::stats().refusals;
  }
  void TearDown() override {
    stealth::set("capacity", "none");
    stealth::set("on_exhausted", "grant");
    stealth::set("backoff_patience", "1s");
    stealth::set("backoff_budget", "50%");
    EXPECT_EQ(held_by_pools(), 0u);
    EXPECT_EQ(held(), 0u);
  }
  std::uint64_t refusals_before_ = 0;
};

// Touched, because only what is resident counts.
std::size_t write_until(Buffer& buffer, std::size_t most, std::error_code& error) {
  auto const bytes = pattern(64 * kKiB);
  while (buffer.size() < most && !error) buffer.write(bytes, error);
  return buffer.size();
}

TEST_F(BufferCapacity, WritesWaitAndThenFail) {
  BufferPool pool(kGiB);
  Buffer buffer = pool.get();
  std::error_code error;
  std::size_t const size = write_until(buffer, kGiB, error);
  EXPECT_EQ(error, errc::not_enough_memory);
  EXPECT_GE(size, 14 * kMiB);
  EXPECT_LE(size, 16 * kMiB);
  EXPECT_EQ(pool.stats().used, size);
  EXPECT_GE(stealth::stats().refusals, 1u);
  buffer.write_at(pattern(1000), 5);
  EXPECT_EQ(buffer.size(), size) << "what is there can be written to";
}

// What a buffer takes in advance is no reason to wait, or to be refused.
TEST_F(BufferCapacity, WhatFitsIsWritten) {
  BufferPool pool(kGiB);
  Buffer buffer = pool.get();
  std::error_code error;
  buffer.write(pattern(16 * kMiB - 50000), error);
  EXPECT_FALSE(error) << error.message();
  buffer.write(pattern(40000), error);
  EXPECT_FALSE(error) << error.message();
  EXPECT_EQ(pool.stats().held, 16 * kMiB - 8192);
  EXPECT_EQ(stealth::stats().refusals, refusals_before_);
  buffer.write(pattern(20000), error);
  EXPECT_EQ(error, errc::not_enough_memory);
}

TEST_F(BufferCapacity, AReleaseLetsAWriterGoOn) {
  stealth::set("backoff_patience", "1m");
  stealth::set("backoff_max_elapsed", "1m");
  BufferPool pool(kGiB);
  Buffer first = pool.get(), second = pool.get();
  std::error_code error;
  write_until(first, 12 * kMiB, error);
  std::thread releases([&] {
    EXPECT_TRUE(stealth::test::soon([] { return stealth::stats().waiting_now == 1; }));
    // No lock is held while it waits for memory.
    EXPECT_GT(second.size(), 0u);
    first = {};
  });
  EXPECT_GE(write_until(second, 10 * kMiB, error), 10 * kMiB);
  EXPECT_FALSE(error);
  releases.join();
  stealth::set("backoff_max_elapsed", "15s");
}

TEST_F(BufferCapacity, IdleBuffersGoBeforeAnybodyWaits) {
  BufferPool pool(27 * 8 * kMiB);
  Buffer first = pool.get(), second = pool.get();
  std::error_code error;
  write_until(first, 8 * kMiB - 64 * kKiB, error);
  pool.put(std::move(first));
  EXPECT_EQ(pool.stats().idle, 1u);
  EXPECT_GE(held_by_pools(), 7 * kMiB);
  EXPECT_GE(write_until(second, 12 * kMiB, error), 12 * kMiB);
  EXPECT_FALSE(error);
  EXPECT_EQ(pool.stats().idle, 0u);
  EXPECT_EQ(stealth::stats().refusals, refusals_before_);
}

}  // namespace
