// What buffers have beyond their ancestor: objects that move and outlive, memory that does not move, streams, iovec,
// std::pmr, options, the C API's handles, address space, fork.
#include <sys/resource.h>
#include <sys/uio.h>

#include <atomic>
#include <cmath>
#include <iomanip>
#include <memory_resource>
#include <optional>
#include <thread>
#include <type_traits>

#include "buffers.hpp"

namespace {

using namespace buffers;
using stealth::BufferPoolResource;
using stealth::BufferStream;

class BufferBeyond : public testing::Test {
 protected:
  void TearDown() override { EXPECT_EQ(held_by_pools(), 0u) << "all memory has come back"; }
};

// --- objects ---

static_assert(!std::is_copy_constructible_v<Buffer> && !std::is_copy_assignable_v<Buffer>);
static_assert(std::is_nothrow_move_constructible_v<Buffer> && std::is_nothrow_move_assignable_v<Buffer>);
static_assert(!std::is_copy_constructible_v<BufferPool> && std::is_nothrow_move_constructible_v<BufferPool>);
static_assert(std::is_nothrow_default_constructible_v<Buffer>);

TEST_F(BufferBeyond, MovesAndGoesBackByItself) {
  BufferPool pool(kMiB);
  {
    Buffer one = pool.make_buffer("one"), two = pool.make_buffer("two");
    std::byte* const at = one.data();
    Buffer moved = std::move(one);
    EXPECT_FALSE(one);
    EXPECT_EQ(moved.data(), at);
    moved = std::move(two);
    EXPECT_EQ(pool.stats().out, 1u);
    EXPECT_EQ(moved.text(), "two");
    Buffer& same = moved;
    moved = std::move(same);
    EXPECT_EQ(moved.text(), "two");
  }
  EXPECT_EQ(pool.stats().out, 0u);
  EXPECT_EQ(pool.stats().idle, 2u);
}

TEST_F(BufferBeyond, UseAfterMoveIsAnError) {
  BufferPool pool(kMiB);
  Buffer buffer = pool.make_buffer("x");
  Buffer const taken = std::move(buffer);
  std::byte one{};
  EXPECT_EQ(error_of([&](auto& error) { buffer.write("x", error); }), errc::invalid_handle);
  EXPECT_EQ(error_of([&](auto& error) { buffer.write_at("x", 0, error); }), errc::invalid_handle);
  EXPECT_EQ(error_of([&](auto& error) { buffer.read(std::span(&one, 1), error); }), errc::invalid_handle);
  EXPECT_EQ(error_of([&](auto& error) { buffer.extend(1, error); }), errc::invalid_handle);
  EXPECT_EQ(error_of([&](auto& error) { buffer.truncate(0, error); }), errc::invalid_handle);
  EXPECT_EQ(error_of([&](auto& error) { static_cast<void>(buffer.slice(0, 0, error)); }), errc::invalid_handle);
  EXPECT_EQ(error_of([&](auto& error) { static_cast<void>(buffer.as_iovec(0, 0, error)); }), errc::invalid_handle);
  EXPECT_EQ(error_of([&](auto& error) { pool.put(std::move(buffer), error); }), errc::invalid_handle);
  EXPECT_EQ(thrown_by([&] { buffer.write("x"); }), errc::invalid_handle);
  EXPECT_EQ(thrown_by([&] { pool.put(std::move(buffer)); }), errc::invalid_handle);
  EXPECT_EQ(buffer.size(), 0u);
  EXPECT_EQ(buffer.data(), nullptr);
  EXPECT_EQ(buffer.bytes().size(), 0u);
  buffer.reset();
  EXPECT_EQ(pool.stats().used, 1u);

  BufferPool moved = std::move(pool);
  EXPECT_EQ(error_of([&](auto& error) { static_cast<void>(pool.get(error)); }), errc::invalid_handle);
  EXPECT_EQ(error_of([&](auto& error) { pool.backoff(error); }), errc::invalid_handle);
  EXPECT_EQ(pool.fill_ratio(), 0.0);
  EXPECT_EQ(pool.trim(), 0u);
  EXPECT_EQ(pool.target_size(), 0u);
  pool.close();
  EXPECT_EQ(moved.stats().out, 1u);
}

TEST_F(BufferBeyond, OutlivesItsPool) {
  std::optional<BufferPool> pool(std::in_place, kMiB);
  Buffer buffer = pool->make_buffer("still there"), other = pool->get();
  fill(other, 1000000);
  pool->close();
  EXPECT_EQ(pool->stats().out, 2u);
  pool.reset();
  EXPECT_EQ(buffer.text(), "still there");
  std::vector<std::byte> out(5);
  EXPECT_EQ(buffer.read_at(out, 6), 5u);
  EXPECT_EQ(buffer.slice(0, 5).size(), 5u);
  EXPECT_EQ(error_of([&](auto& error) { buffer.write("x", error); }), errc::pool_closed);
  EXPECT_EQ(error_of([&](auto& error) { buffer.write_at("x", 0, error); }), errc::pool_closed);
  buffer.truncate(5);
  EXPECT_EQ(buffer.text(), "still");
  // A pool that is made meanwhile has nothing to do with it.
  BufferPool next(kMiB);
  EXPECT_EQ(error_of([&](auto& error) { next.put(std::move(buffer), error); }), errc::invalid_block);
  EXPECT_TRUE(buffer);
  EXPECT_EQ(error_of([&](auto& error) { buffer.write("x", error); }), errc::pool_closed);
  EXPECT_EQ(next.stats().out, 0u);
  EXPECT_GT(held_by_pools(), 1000000u);
  other = {};
  EXPECT_LT(held_by_pools(), 100000u);
}

TEST_F(BufferBeyond, WhatIsOutAtTheEndIsReported) {
  std::string const said = in_a_child([] {
    std::optional<BufferPool> pool(std::in_place, kMiB), quiet(std::in_place, kMiB);
    Buffer const one = pool->make_buffer("12345"), two = pool->get();
    pool->put(pool->get());
    static_cast<void>(quiet->get());
    pool.reset();
    quiet.reset();
  });
  EXPECT_EQ(
      said,
      "stealth: a buffer pool was destroyed with 2 of its buffers still out, which hold 5 bytes: they stay readable "
      "until they are put or released\n");
}

TEST_F(BufferBeyond, AnothersBufferIsLeftAsItIs) {
  BufferPool one(kMiB), two(kMiB);
  Buffer buffer = one.make_buffer("one's");
  EXPECT_EQ(thrown_by([&] { two.put(std::move(buffer)); }), errc::invalid_block);
  EXPECT_EQ(buffer.text(), "one's");
  one.put(std::move(buffer));
  EXPECT_EQ(one.stats().idle, 1u);
}

TEST_F(BufferBeyond, ImpossibleOptions) {
  auto const refused = [](std::size_t target, BufferPoolOptions const& options) {
    std::error_code error;
    BufferPool const pool(target, options, error);
    EXPECT_EQ(pool.handle(), nullptr);
    return error;
  };
  EXPECT_EQ(refused(0, {}), errc::invalid_options);
  EXPECT_EQ(refused(~std::size_t{0}, {}), errc::invalid_options);
  EXPECT_EQ(refused(1, {.initial_interval = -1ns}), errc::invalid_options);
  EXPECT_EQ(refused(1, {.max_elapsed_time = -1ns}), errc::invalid_options);
  EXPECT_EQ(refused(1, {.randomization_factor = -0.1}), errc::invalid_options);
  EXPECT_EQ(refused(1, {.randomization_factor = 1.1}), errc::invalid_options);
  EXPECT_EQ(refused(1, {.randomization_factor = std::nan("")}), errc::invalid_options);
  EXPECT_EQ(refused(1, {.max_buffer_size = (std::size_t{1} << 46) + 1}), errc::invalid_options);
  EXPECT_EQ(thrown_by([] { BufferPool const pool(0); }), errc::invalid_options);
  BufferPool const as_long_as_one_likes(
      1, {.max_pool_size = ~std::size_t{0}, .initial_interval = std::chrono::nanoseconds::max()});
}

// --- memory ---

TEST_F(BufferBeyond, DataNeverMoves) {
  BufferPool pool(2 * kGiB);
  Buffer buffer = pool.get();
  buffer.write("the beginning");
  std::byte* const at = buffer.data();
  std::size_t const size = stealth::test::kSanitized ? 64 * kMiB : kGiB;
  // A page in each step is touched, the rest is only made usable.
  while (buffer.size() < size) {
    std::size_t const from = buffer.extend_for_overwrite(std::min(size - buffer.size(), 100 * kKiB));
    std::memcpy(buffer.data() + from, &from, sizeof from);
    ASSERT_EQ(buffer.data(), at);
  }
  EXPECT_EQ(buffer.size(), size);
  EXPECT_EQ(std::memcmp(at, "the beginning", 13), 0);
  std::size_t there = 0;
  std::memcpy(&there, at + 13 + 7 * 100 * kKiB, sizeof there);
  EXPECT_EQ(there, 13 + 7 * 100 * kKiB);
}

TEST_F(BufferBeyond, WhatRunsOverHitsNobody) {
  BufferPool pool(kMiB, {.max_buffer_size = 8192});
  Buffer one = pool.get(), two = pool.get();
  fill(one, 8192);
  fill(two, 8192);
  for (Buffer const* const buffer : {&one, &two}) {
    expect_fault(buffer->data() - 1);
    expect_fault(buffer->data() + 8192);
  }
}

TEST_F(BufferBeyond, MemoryIsHeldAsItIsUsed) {
  BufferPool pool(27 * kMiB);
  std::uint64_t const before = held();
  Buffer buffer = pool.get();
  EXPECT_EQ(held(), before) << "a new buffer is addresses only";
  buffer.write("x");
  EXPECT_EQ(held(), before + 4096);
  fill(buffer, kMiB);
  EXPECT_GE(held(), before + kMiB);
  EXPECT_LE(held(), before + kMiB + 300 * kKiB) << "at most a quarter more";
  EXPECT_EQ(pool.stats().held, held() - before);
  buffer.reset();
  EXPECT_GE(held(), before + kMiB) << "it stays with the buffer";
  pool.put(std::move(buffer));
  EXPECT_GE(held(), before + kMiB) << "which is kept";
  EXPECT_GE(pool.trim(), kMiB);
  EXPECT_EQ(held(), before);
}

// A large buffer that was made small before it came back is kept, but not its memory.
TEST_F(BufferBeyond, WhatIsKeptIsSmall) {
  for (bool const wipe : {false, true}) {
    BufferPool pool(27 * 10000, {.wipe_on_put = wipe});
    Buffer buffer = pool.get();
    fill(buffer, kMiB);
    std::memset(buffer.data(), 'x', kMiB);
    buffer.truncate(10000);
    std::byte* const at = buffer.data();
    pool.put(std::move(buffer));
    EXPECT_EQ(pool.stats().idle, 1u);
    EXPECT_EQ(pool.stats().held, 8192u);
    EXPECT_TRUE(is_resident(at));
    EXPECT_FALSE(is_resident(at + 8192));
    buffer = pool.get();
    buffer.extend(kMiB);
    for (std::byte const byte : buffer.bytes()) ASSERT_EQ(byte, std::byte{0});
  }
}

// All that are kept hold the target together, whatever they grew by in advance and however little was written.
TEST_F(BufferBeyond, WhatIsKeptIsTheTarget) {
  struct {
    std::size_t target, each;
    bool huge_pages;
    std::size_t held;  // by all 27
  } const cases[] = {
      {kMiB, kMiB / 27, false, 27 * 9 * 4096},       // 38836 bytes are nine pages and a bit
      {27 * 300000, 299000, false, 27 * 73 * 4096},  // grown to far more
      {27 * 2 * 4096, 100, false, 27 * 4096},        // a page is all they ever had
      {27 * 100, 100, false, 27 * 4096},             // a page is the least
      {kMiB, 1, true, 0},                            // a huge one is more than the share of each
      {27 * 3 * kMiB, 3 * kMiB, true, 27 * 2 * kMiB},
  };
  for (auto const& [target, each, huge_pages, held] : cases) {
    BufferPool pool(target, {.max_buffer_size = 16 * kMiB, .huge_pages = huge_pages});
    for (int round = 0; round < 2; ++round) {
      std::vector<Buffer> all;
      for (int i = 0; i < 27; ++i) {
        all.push_back(pool.get());
        fill(all.back(), each);
        all.back().bytes()[each - 1] = std::byte{1};
      }
      for (Buffer& buffer : all) pool.put(std::move(buffer));
      EXPECT_EQ(pool.stats().idle, 27u) << target;
      EXPECT_EQ(pool.stats().held, held) << target;
    }
    Buffer buffer = pool.get();
    buffer.extend(each);
    EXPECT_EQ(buffer.bytes()[each - 1], std::byte{0});
  }
}

// The same of a lone buffer, which comes back by a quicker way.
TEST_F(BufferBeyond, ALoneBufferKeepsItsShare) {
  BufferPool pool(kMiB);
  Buffer buffer = pool.get();
  fill(buffer, 100);
  pool.put(std::move(buffer));
  EXPECT_EQ(pool.stats().held, 4096u);
  buffer = pool.get();
  fill(buffer, 38000);
  EXPECT_GT(pool.stats().held, 40000u);
  pool.put(std::move(buffer));
  EXPECT_EQ(pool.stats().idle, 1u);
  EXPECT_EQ(pool.stats().held, 36864u);
}

TEST_F(BufferBeyond, WipedOnPut) {
  BufferPool pool(27 * 10000, {.wipe_on_put = true});
  for (std::size_t const kept : {10000u, 5u}) {
    Buffer buffer = pool.make_buffer(pattern(10000, 1));
    buffer.truncate(kept);
    std::byte* const at = buffer.data();
    pool.put(std::move(buffer));
    for (std::size_t i = 0; i < 10000; ++i) ASSERT_EQ(at[i], std::byte{0}) << i;
  }
}

TEST_F(BufferBeyond, OptionsForMemory) {
  BufferPool pool(27 * kMiB, {.exclude_from_core_dump = true, .lock_in_memory = true, .huge_pages = true});
  Buffer buffer = pool.make_buffer(pattern(1000));
  EXPECT_EQ(pool.stats().held, 2 * kMiB) << "a huge page";
  EXPECT_TRUE(std::equal(buffer.bytes().begin(), buffer.bytes().end(), pattern(1000).begin()));
  pool.put(std::move(buffer));
  EXPECT_EQ(pool.get().size(), 0u);
}

TEST_F(BufferBeyond, ManyBuffers) {
  constexpr std::size_t kMany = 5000;
  // A sanitizer leaves a program little more than a terabyte of addresses.
  std::size_t const addresses = stealth::test::kSanitized ? 16 * kMiB : kGiB;
  BufferPool pool(kGiB, {.max_pool_size = kMany, .max_buffer_size = addresses});
  std::vector<Buffer> all;
  std::set<std::byte*> distinct;
  for (std::size_t i = 0; i < kMany; ++i) {
    all.push_back(pool.make_buffer(pattern(100, static_cast<int>(i))));
    EXPECT_TRUE(distinct.insert(all.back().data()).second);
  }
  EXPECT_EQ(pool.stats().used, kMany * 100);
  for (std::size_t i = 0; i < kMany; ++i) {
    EXPECT_TRUE(std::equal(all[i].bytes().begin(), all[i].bytes().end(), pattern(100, static_cast<int>(i)).begin()));
  }
  all.clear();
  EXPECT_EQ(pool.stats().idle, kMany);
  EXPECT_EQ(pool.stats().used, 0u);
}

#if !STEALTH_ASAN && !STEALTH_TSAN
// Where addresses are scarce buffers get fewer than max_buffer_size, and say so when they have used them up.
TEST_F(BufferBeyond, UnderAnAddressSpaceLimit) {
  in_a_child([] {
    std::size_t pages = 0;
    std::ifstream("/proc/self/statm") >> pages;
    rlimit limit{};
    limit.rlim_cur = limit.rlim_max = pages * 4096 + 512 * kMiB;
    ASSERT_EQ(setrlimit(RLIMIT_AS, &limit), 0);
    BufferPool pool(kGiB);
    std::vector<Buffer> all;
    std::error_code error;
    for (int i = 0; i < 20; ++i) {
      all.push_back(pool.get(error));
      ASSERT_FALSE(error) << i;
      all.back().write("x");
    }
    fill(all[0], 32 * kMiB);
    while (!error) all[0].extend_for_overwrite(kMiB, error);
    EXPECT_EQ(error, errc::not_enough_memory);
    EXPECT_EQ(all[0].bytes()[0], std::byte{'x'});
    EXPECT_EQ(all[1].write("y"), 1u) << "others go on";
  });
}
#endif

// --- BufferStream ---

TEST_F(BufferBeyond, StreamAppends) {
  BufferPool pool(kMiB);
  Buffer buffer = pool.make_buffer("begin ");
  BufferStream out(buffer);
  EXPECT_EQ(out.tellp(), 6);
  out << 42 << ' ' << std::setw(6) << std::setfill('.') << 1.5 << '\n' << std::hex << 255 << std::string(1000, 'x');
  out.put('!').write("end", 3).flush();
  EXPECT_TRUE(out.good());
  EXPECT_EQ(buffer.text(), "begin 42 ...1.5\nff" + std::string(1000, 'x') + "!end");
  EXPECT_EQ(out.tellp(), static_cast<std::streamoff>(buffer.size()));
  EXPECT_FALSE(out.error());
  buffer.write("between");
  out << "after" << std::endl;
  EXPECT_TRUE(buffer.text().ends_with("betweenafter\n"));
}

TEST_F(BufferBeyond, StreamErrorsSetBadbit) {
  BufferPool pool(kMiB, {.max_buffer_size = 10});
  Buffer buffer = pool.get();
  BufferStream out(buffer);
  out << "0123456789";
  EXPECT_TRUE(out.good());
  out << 'x';
  EXPECT_TRUE(out.bad());
  EXPECT_EQ(out.error(), errc::out_of_range);
  EXPECT_EQ(buffer.text(), "0123456789");
  out.clear();
  buffer.reset();
  out << "ab" << 12;
  EXPECT_TRUE(out.good());
  out << "longer than the rest";
  EXPECT_TRUE(out.bad());
  EXPECT_EQ(buffer.text(), "ab12") << "all or nothing";
  out.clear();
  pool.close();
  out << 7;
  EXPECT_TRUE(out.bad());
  EXPECT_EQ(out.error(), errc::pool_closed);
  out.clear();
  out.exceptions(std::ios::badbit);
  EXPECT_THROW(out << "x", std::ios::failure);
}

// --- scatter and gather ---

TEST_F(BufferBeyond, WritevAndReadv) {
  BufferPool pool(kMiB);
  Buffer head = pool.make_buffer("head:"), body = pool.make_buffer("0123456789");
  int ends[2];
  ASSERT_EQ(pipe(ends), 0);
  ::iovec const parts[] = {head.as_iovec(), body.as_iovec(2, 6), body.as_iovec(10, 10)};
  EXPECT_EQ(writev(ends[1], parts, 3), 9);
  Buffer in = pool.make_buffer("got ");
  std::size_t const from = in.extend_for_overwrite(4096);
  ::iovec const room = in.as_iovec(from, in.size());
  ssize_t const got = readv(ends[0], &room, 1);
  ASSERT_EQ(got, 9);
  in.truncate(from + static_cast<std::size_t>(got));
  EXPECT_EQ(in.text(), "got head:2345");
  EXPECT_EQ(pool.stats().used, 5u + 10 + 13);
  close(ends[0]);
  close(ends[1]);
}

// --- std::pmr ---

TEST_F(BufferBeyond, ResourceCountsTowardsTheTarget) {
  BufferPool pool(kMiB);
  BufferPoolResource resource(pool);
  {
    std::pmr::vector<int> numbers(&resource);
    numbers.resize(1000);
    EXPECT_EQ(pool.stats().used, 1000 * sizeof(int));
    std::pmr::string text(100, 'x', &resource);
    EXPECT_GE(pool.stats().used, 1000 * sizeof(int) + 100);
    EXPECT_GT(pool.fill_ratio(), 0.0);
  }
  EXPECT_EQ(pool.stats().used, 0u);
  BufferPoolResource const same(pool);
  BufferPool other(kMiB);
  BufferPoolResource const of_other(other);
  EXPECT_TRUE(resource == same);
  EXPECT_FALSE(resource == of_other);
}

TEST_F(BufferBeyond, ResourceWaitsAndWakes) {
  BufferPool pool(1000, {.initial_interval = 1us, .max_elapsed_time = 2us});
  BufferPoolResource resource(pool);
  void* const large = resource.allocate(1000, 64);
  EXPECT_EQ(reinterpret_cast<std::uintptr_t>(large) % 64, 0u);
  EXPECT_EQ(pool.stats().waits, 0u);
  void* const more = resource.allocate(10);
  EXPECT_EQ(pool.stats().waits, 1u);
  resource.deallocate(large, 1000, 64);
  EXPECT_EQ(pool.stats().used, 10u);
  pool.close();
  EXPECT_THROW(static_cast<void>(resource.allocate(1)), std::bad_alloc);
  resource.deallocate(more, 10);
  EXPECT_EQ(pool.stats().used, 0u);
}

TEST_F(BufferBeyond, ResourceGivesBackWhatUpstreamRefuses) {
  BufferPool pool(kMiB);
  BufferPoolResource resource(pool, std::pmr::null_memory_resource());
  EXPECT_THROW(static_cast<void>(resource.allocate(10)), std::bad_alloc);
  EXPECT_EQ(pool.stats().used, 0u);
  EXPECT_EQ(stealth_buffer_pool_discount(pool.handle(), 1), STEALTH_OUT_OF_RANGE);
}

// --- handles of the C API ---

TEST_F(BufferBeyond, StaleHandlesAreFoundOut) {
  stealth_buffer_pool* pool = nullptr;
  ASSERT_EQ(stealth_buffer_pool_create(kMiB, nullptr, &pool), STEALTH_OK);
  stealth_buffer* buffer = nullptr;
  ASSERT_EQ(stealth_buffer_pool_get(pool, &buffer), STEALTH_OK);
  ASSERT_EQ(stealth_buffer_pool_put(pool, buffer), STEALTH_OK);
  // Thousands of lives later, in the same place.
  for (int i = 0; i < 5000; ++i) {
    stealth_buffer* other = nullptr;
    ASSERT_EQ(stealth_buffer_pool_get(pool, &other), STEALTH_OK);
    ASSERT_NE(other, buffer);
    ASSERT_EQ(stealth_buffer_write(buffer, "x", 1), STEALTH_INVALID_HANDLE);
    ASSERT_EQ(stealth_buffer_pool_put(pool, buffer), STEALTH_INVALID_HANDLE);
    ASSERT_EQ(stealth_buffer_release(buffer), STEALTH_INVALID_HANDLE);
    ASSERT_EQ(stealth_buffer_pool_put(pool, other), STEALTH_OK);
  }
  for (std::uintptr_t const made_up :
       {std::uintptr_t{0}, std::uintptr_t{1}, ~std::uintptr_t{0}, reinterpret_cast<std::uintptr_t>(&pool)}) {
    auto* const no_buffer = reinterpret_cast<stealth_buffer*>(made_up);
    auto* const no_pool = reinterpret_cast<stealth_buffer_pool*>(made_up);
    EXPECT_EQ(stealth_buffer_write(no_buffer, "x", 1), STEALTH_INVALID_HANDLE);
    EXPECT_EQ(stealth_buffer_write_at(no_buffer, "x", 1, ~std::uint64_t{0}), STEALTH_INVALID_HANDLE);
    EXPECT_EQ(stealth_buffer_release(no_buffer), STEALTH_INVALID_HANDLE);
    EXPECT_EQ(stealth_buffer_pool_get(no_pool, &buffer), STEALTH_INVALID_HANDLE);
    EXPECT_EQ(stealth_buffer_pool_close(no_pool), STEALTH_INVALID_HANDLE);
    EXPECT_EQ(stealth_buffer_pool_destroy(no_pool), STEALTH_INVALID_HANDLE);
  }
  EXPECT_EQ(stealth_buffer_pool_destroy(pool), STEALTH_OK);
  EXPECT_EQ(stealth_buffer_pool_destroy(pool), STEALTH_INVALID_HANDLE);
  stealth_buffer_pool* next = nullptr;
  ASSERT_EQ(stealth_buffer_pool_create(kMiB, nullptr, &next), STEALTH_OK);
  EXPECT_NE(next, pool);
  EXPECT_EQ(stealth_buffer_pool_close(pool), STEALTH_INVALID_HANDLE);
  EXPECT_EQ(stealth_buffer_pool_destroy(next), STEALTH_OK);
}

TEST_F(BufferBeyond, ManyPools) {
  std::vector<BufferPool> pools;
  std::error_code error;
  while (!error) pools.emplace_back(kMiB, BufferPoolOptions{}, error);
  EXPECT_EQ(error, errc::too_many);
  EXPECT_EQ(pools.size() - 1, std::size_t{STEALTH_MOST_BUFFER_POOLS});
  pools.clear();
  BufferPool const again(kMiB);
}

// --- fork ---

TEST_F(BufferBeyond, TheChildsCopyIsUsableAndIndependent) {
  BufferPool pool(27 * 1000);
  Buffer buffer = pool.make_buffer("parent's");
  pool.put(pool.get());
  in_a_child([&] {
    EXPECT_EQ(buffer.text(), "parent's");
    buffer.write_at("child's ", 0);
    Buffer const other = pool.get(), fresh = pool.get();
    EXPECT_EQ(pool.stats().out, 3u);
    pool.put(std::move(buffer));
    EXPECT_EQ(pool.stats().used, 0u);
    pool.close();
  });
  EXPECT_EQ(buffer.text(), "parent's");
  EXPECT_EQ(pool.stats().idle, 1u);
  EXPECT_EQ(pool.stats().used, 8u);
}

// While other threads write, wait, get and put.
TEST_F(BufferBeyond, ForkInTheMidstOfOthers) {
  BufferPool pool(2000, {.initial_interval = 1ms, .max_elapsed_time = 2ms, .write_backoff = true});
  Buffer shared = pool.get();
  // The threads do without malloc, and have begun before: a sanitizer's may be locked for good in the child.
  auto const some = pattern(50);
  std::atomic<bool> stop{false};
  std::atomic<int> begun{0};
  std::vector<std::thread> threads;
  for (int i = 0; i < 4; ++i) {
    threads.emplace_back([&] {
      ++begun;
      while (!stop) {
        Buffer own = pool.get();
        for (int n = 0; n < 10; ++n) {
          own.write(some);
          shared.write("x");
        }
        shared.reset();
      }
    });
  }
  while (begun < 4) std::this_thread::yield();
  for (int i = 0; i < rounds(30); ++i) {
    in_a_child([&] {
      for (int n = 0; n < 50; ++n) {
        Buffer own = pool.make_buffer(pattern(100));
        own.write("x");
        shared.write("y");
        EXPECT_EQ(own.size(), 101u);
        pool.put(std::move(own));
        shared.reset();
        EXPECT_EQ(shared.size(), 0u);
      }
      EXPECT_EQ(pool.stats().waiting, 0u);
      pool.close();
    });
  }
  stop = true;
  for (std::thread& thread : threads) thread.join();
  shared = {};
  EXPECT_EQ(pool.stats().used, 0u);
  EXPECT_EQ(pool.stats().out, 0u);
}

}  // namespace
