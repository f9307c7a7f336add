// What every call says of a pool that is closed, destroyed or was moved from, and of a buffer that is back: an error
// that names it, and never a crash.
#include <optional>

#include "buffers.hpp"

namespace {

using namespace buffers;

// Every function that takes a pool, by its name. Those that ask a closed one for nothing are told apart.
struct PoolCall {
  char const* name;
  int (*call)(stealth_pool*);
  bool works_when_closed = false;
};
alignas(16) char g_bytes[4096];

std::vector<PoolCall> pool_calls() {
  return {
      {"get",
       [](stealth_pool* pool) {
         void* block = g_bytes;
         int const error = stealth_pool_get(pool, &block);
         EXPECT_EQ(block, nullptr);
         return error;
       }},
      {"get_for",
       [](stealth_pool* pool) {
         void* block = g_bytes;
         int const error = stealth_pool_get_for(pool, ~std::uint64_t{0}, &block);
         EXPECT_EQ(block, nullptr);
         return error;
       }},
      {"get_until",
       [](stealth_pool* pool) {
         void* block = g_bytes;
         int const error = stealth_pool_get_until(pool, ~std::uint64_t{0}, &block);
         EXPECT_EQ(block, nullptr);
         return error;
       }},
      {"get_bulk",
       [](stealth_pool* pool) {
         void* two[2] = {g_bytes, g_bytes};
         int const error = stealth_pool_get_bulk(pool, two, 2, sizeof two[0]);
         EXPECT_EQ(two[0], nullptr);
         EXPECT_EQ(two[1], nullptr);
         return error;
       }},
      {"get_bulk of none", [](stealth_pool* pool) { return stealth_pool_get_bulk(pool, nullptr, 0, 8); }, true},
      {"put", [](stealth_pool* pool) { return stealth_pool_put(pool, g_bytes, sizeof g_bytes); }},
      {"put of null", [](stealth_pool* pool) { return stealth_pool_put(pool, nullptr, 0); }},
      {"put_bulk",
       [](stealth_pool* pool) {
         void* const one[1] = {g_bytes};
         return stealth_pool_put_bulk(pool, one, 1, sizeof one[0]);
       }},
      {"trim", [](stealth_pool* pool) { return stealth_pool_trim(pool, nullptr); }},
      {"owns",
       [](stealth_pool* pool) {
         int owns = 1;
         int const error = stealth_pool_owns(pool, g_bytes, &owns);
         EXPECT_EQ(owns, 0);
         return error;
       }},
      {"stats",
       [](stealth_pool* pool) {
         ::stealth_pool_statistics now{};
         now.size = sizeof now;
         return stealth_pool_stats(pool, &now);
       },
       true},
      {"close", stealth_pool_close, true},
  };
}

TEST(Handles, EveryCallOfAPool) {
  for (PoolCall const& call : pool_calls()) {
    stealth_pool* pool = nullptr;
    ASSERT_EQ(stealth_pool_create(10, nullptr, &pool), STEALTH_OK);
    void* block = nullptr;
    ASSERT_EQ(stealth_pool_get(pool, &block), STEALTH_OK);
    ASSERT_EQ(stealth_pool_put(pool, block, 4096), STEALTH_OK);  // a magazine is open
    ASSERT_EQ(stealth_pool_close(pool), STEALTH_OK);
    int const closed = call.call(pool);
    EXPECT_EQ(closed, call.works_when_closed && closed == STEALTH_OK ? STEALTH_OK : STEALTH_POOL_CLOSED) << call.name;
    EXPECT_EQ(stealth_pool_put(pool, block, 4096), STEALTH_POOL_CLOSED);
    ASSERT_EQ(stealth_pool_destroy(pool), STEALTH_OK);
    EXPECT_EQ(call.call(pool), STEALTH_INVALID_HANDLE) << call.name;
    EXPECT_EQ(call.call(nullptr), STEALTH_INVALID_HANDLE) << call.name;
    EXPECT_EQ(call.call(reinterpret_cast<stealth_pool*>(g_bytes)), STEALTH_INVALID_HANDLE) << call.name;
    EXPECT_EQ(stealth_pool_destroy(pool), STEALTH_INVALID_HANDLE) << "twice";
  }
}

struct BufferPoolCall {
  char const* name;
  int (*call)(stealth_buffer_pool*);
  bool works_when_closed = false;
};
std::vector<BufferPoolCall> buffer_pool_calls() {
  return {
      {"get",
       [](stealth_buffer_pool* pool) {
         auto* buffer = reinterpret_cast<stealth_buffer*>(g_bytes);
         int const error = stealth_buffer_pool_get(pool, &buffer);
         EXPECT_EQ(buffer, nullptr);
         return error;
       }},
      {"make",
       [](stealth_buffer_pool* pool) {
         auto* buffer = reinterpret_cast<stealth_buffer*>(g_bytes);
         int const error = stealth_buffer_pool_make(pool, "x", 1, &buffer);
         EXPECT_EQ(buffer, nullptr);
         return error;
       }},
      {"backoff", [](stealth_buffer_pool* pool) { return stealth_buffer_pool_backoff(pool, nullptr); }},
      {"fill_ratio",
       [](stealth_buffer_pool* pool) {
         double ratio = 1;
         int const error = stealth_buffer_pool_fill_ratio(pool, &ratio);
         EXPECT_EQ(ratio, 0.0);
         return error;
       }},
      {"count", [](stealth_buffer_pool* pool) { return stealth_buffer_pool_count(pool, 1); }},
      {"discount", [](stealth_buffer_pool* pool) { return stealth_buffer_pool_discount(pool, 0); }, true},
      {"trim", [](stealth_buffer_pool* pool) { return stealth_buffer_pool_trim(pool, nullptr); }},
      {"stats",
       [](stealth_buffer_pool* pool) {
         ::stealth_buffer_pool_statistics now{};
         now.size = sizeof now;
         return stealth_buffer_pool_stats(pool, &now);
       },
       true},
      {"close", stealth_buffer_pool_close, true},
  };
}

TEST(Handles, EveryCallOfABufferPool) {
  for (BufferPoolCall const& call : buffer_pool_calls()) {
    stealth_buffer_pool* pool = nullptr;
    ASSERT_EQ(stealth_buffer_pool_create(kMiB, nullptr, &pool), STEALTH_OK);
    ASSERT_EQ(stealth_buffer_pool_close(pool), STEALTH_OK);
    EXPECT_EQ(call.call(pool), call.works_when_closed ? STEALTH_OK : STEALTH_POOL_CLOSED) << call.name;
    ASSERT_EQ(stealth_buffer_pool_destroy(pool), STEALTH_OK);
    EXPECT_EQ(call.call(pool), STEALTH_INVALID_HANDLE) << call.name;
    EXPECT_EQ(call.call(nullptr), STEALTH_INVALID_HANDLE) << call.name;
    EXPECT_EQ(call.call(reinterpret_cast<stealth_buffer_pool*>(g_bytes)), STEALTH_INVALID_HANDLE) << call.name;
    EXPECT_EQ(stealth_buffer_pool_destroy(pool), STEALTH_INVALID_HANDLE) << "twice";
  }
}

// `when_closed`: what it says of a buffer of 3 bytes whose pool is closed, or gone.
struct BufferCall {
  char const* name;
  int (*call)(stealth_buffer*);
  int when_closed;
};
std::vector<BufferCall> buffer_calls() {
  return {
      {"write", [](stealth_buffer* buffer) { return stealth_buffer_write(buffer, "x", 1); }, STEALTH_POOL_CLOSED},
      {"write of nothing", [](stealth_buffer* buffer) { return stealth_buffer_write(buffer, nullptr, 0); },
       STEALTH_POOL_CLOSED},
      {"write_at", [](stealth_buffer* buffer) { return stealth_buffer_write_at(buffer, "x", 1, 0); },
       STEALTH_POOL_CLOSED},
      {"extend", [](stealth_buffer* buffer) { return stealth_buffer_extend(buffer, 1, nullptr); }, STEALTH_POOL_CLOSED},
      {"extend_for_overwrite",
       [](stealth_buffer* buffer) { return stealth_buffer_extend_for_overwrite(buffer, 1, nullptr); },
       STEALTH_POOL_CLOSED},
      {"read", [](stealth_buffer* buffer) { return stealth_buffer_read(buffer, g_bytes, 3); }, STEALTH_OK},
      {"read_at", [](stealth_buffer* buffer) { return stealth_buffer_read_at(buffer, g_bytes, 1, 2); }, STEALTH_OK},
      {"read beyond the end", [](stealth_buffer* buffer) { return stealth_buffer_read(buffer, g_bytes, 4); },
       STEALTH_OUT_OF_RANGE},
      {"view",
       [](stealth_buffer* buffer) {
         void* data = g_bytes;
         std::size_t size = 1;
         int const error = stealth_buffer_view(buffer, &data, &size);
         EXPECT_EQ(size, error == STEALTH_OK ? 3u : 0u);
         EXPECT_EQ(data == nullptr, error != STEALTH_OK);
         return error;
       },
       STEALTH_OK},
      {"iovec",
       [](stealth_buffer* buffer) {
         ::iovec view{g_bytes, 1};
         int const error = stealth_buffer_iovec(buffer, 1, 3, &view);
         EXPECT_EQ(view.iov_len, error == STEALTH_OK ? 2u : 0u);
         return error;
       },
       STEALTH_OK},
      {"truncate", [](stealth_buffer* buffer) { return stealth_buffer_truncate(buffer, 1); }, STEALTH_OK},
      {"reset", stealth_buffer_reset, STEALTH_OK},
  };
}

TEST(Handles, EveryCallOfABuffer) {
  for (bool const destroyed : {false, true}) {
    for (BufferCall const& call : buffer_calls()) {
      in_a_child([&] {  // which says that a buffer is out
        stealth_buffer_pool* pool = nullptr;
        stealth_buffer* buffer = nullptr;
        ASSERT_EQ(stealth_buffer_pool_create(kMiB, nullptr, &pool), STEALTH_OK);
        ASSERT_EQ(stealth_buffer_pool_make(pool, "abc", 3, &buffer), STEALTH_OK);
        ASSERT_EQ(destroyed ? stealth_buffer_pool_destroy(pool) : stealth_buffer_pool_close(pool), STEALTH_OK);
        EXPECT_EQ(call.call(buffer), call.when_closed) << call.name;
        EXPECT_EQ(stealth_buffer_release(buffer), STEALTH_OK);
        EXPECT_EQ(call.call(buffer), STEALTH_INVALID_HANDLE) << call.name;
        EXPECT_EQ(call.call(nullptr), STEALTH_INVALID_HANDLE) << call.name;
        EXPECT_EQ(call.call(reinterpret_cast<stealth_buffer*>(g_bytes)), STEALTH_INVALID_HANDLE) << call.name;
        EXPECT_EQ(stealth_buffer_release(buffer), STEALTH_INVALID_HANDLE) << "twice";
        EXPECT_EQ(held_by_pools(), 0u);
      });
    }
  }
}

TEST(Handles, PutToAClosedPoolTakesTheBuffer) {
  BufferPool pool(kMiB);
  Buffer buffer = pool.make_buffer("x");
  pool.close();
  EXPECT_EQ(error_of([&](auto& error) { pool.put(std::move(buffer), error); }), errc::pool_closed);
  EXPECT_FALSE(buffer);
  EXPECT_EQ(pool.stats().out, 0u);
  EXPECT_EQ(held_by_pools(), 0u);
  EXPECT_EQ(thrown_by([&] { static_cast<void>(pool.get()); }), errc::pool_closed);
  EXPECT_EQ(thrown_by([&] { static_cast<void>(pool.make_buffer("x")); }), errc::pool_closed);
  EXPECT_EQ(thrown_by([&] { pool.backoff(); }), errc::pool_closed);
  EXPECT_EQ(pool.fill_ratio(), 0.0);
  EXPECT_EQ(pool.target_size(), kMiB);
}

// --- moved from: like one that was never made; and may be given a new life ---

template <class Thing>
Thing& moved_from(Thing& thing, std::optional<Thing>& to) {
  to.emplace(std::move(thing));
  return thing;
}

TEST(MovedFrom, Pool) {
  Pool original(2);
  std::optional<Pool> home;
  Pool& pool = moved_from(original, home);
  auto const gone = errc::invalid_handle;
  std::vector<Block> two(2);
  EXPECT_EQ(error_of([&](auto& error) { static_cast<void>(pool.get(error)); }), gone);
  EXPECT_EQ(error_of([&](auto& error) { static_cast<void>(pool.get_for(1h, error)); }), gone);
  EXPECT_EQ(
      error_of([&](auto& error) { static_cast<void>(pool.get_until(std::chrono::system_clock::now() + 1h, error)); }),
      gone);
  EXPECT_EQ(error_of([&](auto& error) { pool.put(std::span<std::byte>(), error); }), gone);
  EXPECT_EQ(error_of([&](auto& error) { pool.put(Block(), error); }), gone);
  EXPECT_EQ(error_of([&](auto& error) { pool.get_bulk(two, error); }), gone);
  EXPECT_EQ(error_of([&](auto& error) { pool.put_bulk(two, error); }), gone);
  EXPECT_EQ(thrown_by([&] { static_cast<void>(pool.get()); }), gone);
  EXPECT_EQ(thrown_by([&] { pool.put_bulk(two); }), gone);
  EXPECT_EQ(pool.trim(), 0u);
  EXPECT_FALSE(pool.owns(&pool));
  for (std::size_t const count :
       {pool.free_count(), pool.alloc_count(), pool.in_use(), pool.high_water(), pool.max_blocks(), pool.block_size()})
    EXPECT_EQ(count, 0u);
  EXPECT_EQ(pool.handle(), nullptr);
  pool.close();
  pool.close();
  pool = Pool(3);
  EXPECT_TRUE(pool.get());
  EXPECT_EQ(pool.max_blocks(), 3u);
  EXPECT_EQ(home->max_blocks(), 2u);
}

TEST(MovedFrom, Block) {
  Pool pool(2);
  Block original = pool.get();
  std::optional<Block> home;
  Block& block = moved_from(original, home);
  EXPECT_FALSE(block);
  EXPECT_EQ(block.data(), nullptr);
  EXPECT_EQ(block.size(), 0u);
  EXPECT_TRUE(block.span().empty());
  block.reset();
  EXPECT_TRUE(block.release().empty());
  EXPECT_EQ(error_of([&](auto& error) { pool.put(std::move(block), error); }), errc::invalid_block);
  EXPECT_EQ(pool.in_use(), 1u);
  block = pool.get();
  EXPECT_TRUE(block);
  EXPECT_EQ(pool.in_use(), 2u);
}

TEST(MovedFrom, BufferPool) {
  BufferPool original(kMiB);
  std::optional<BufferPool> home;
  BufferPool& pool = moved_from(original, home);
  Buffer buffer = home->make_buffer("x");
  auto const gone = errc::invalid_handle;
  EXPECT_EQ(error_of([&](auto& error) { static_cast<void>(pool.get(error)); }), gone);
  EXPECT_EQ(error_of([&](auto& error) { static_cast<void>(pool.make_buffer("x", error)); }), gone);
  EXPECT_EQ(error_of([&](auto& error) { pool.put(std::move(buffer), error); }), gone);
  EXPECT_TRUE(buffer) << "it is left as it is";
  EXPECT_EQ(error_of([&](auto& error) { pool.backoff(error); }), gone);
  EXPECT_EQ(thrown_by([&] { static_cast<void>(pool.get()); }), gone);
  EXPECT_EQ(pool.fill_ratio(), 0.0);
  EXPECT_EQ(pool.trim(), 0u);
  EXPECT_EQ(pool.target_size(), 0u);
  EXPECT_EQ(pool.stats().out, 0u);
  EXPECT_EQ(pool.handle(), nullptr);
  pool.close();
  pool.close();
  pool = BufferPool(2 * kMiB);
  EXPECT_TRUE(pool.get());
  EXPECT_EQ(home->stats().out, 1u);
}

TEST(MovedFrom, Buffer) {
  BufferPool pool(kMiB);
  Buffer original = pool.make_buffer("abc");
  std::optional<Buffer> home;
  Buffer& buffer = moved_from(original, home);
  auto const gone = errc::invalid_handle;
  std::byte one[1];
  EXPECT_EQ(error_of([&](auto& error) { buffer.write("x", error); }), gone);
  EXPECT_EQ(error_of([&](auto& error) { buffer.write(std::span<std::byte const>(), error); }), gone);
  EXPECT_EQ(error_of([&](auto& error) { buffer.write_at("x", 0, error); }), gone);
  EXPECT_EQ(error_of([&](auto& error) { buffer.extend(1, error); }), gone);
  EXPECT_EQ(error_of([&](auto& error) { buffer.extend_for_overwrite(1, error); }), gone);
  EXPECT_EQ(error_of([&](auto& error) { buffer.truncate(0, error); }), gone);
  EXPECT_EQ(error_of([&](auto& error) { buffer.read(one, error); }), gone);
  EXPECT_EQ(error_of([&](auto& error) { buffer.read_at(one, 0, error); }), gone);
  EXPECT_EQ(error_of([&](auto& error) { static_cast<void>(buffer.slice(0, 0, error)); }), gone);
  EXPECT_EQ(error_of([&](auto& error) { static_cast<void>(buffer.as_iovec(0, 0, error)); }), gone);
  EXPECT_EQ(error_of([&](auto& error) { pool.put(std::move(buffer), error); }), gone);
  EXPECT_EQ(thrown_by([&] { static_cast<void>(buffer.slice(0, 0)); }), gone);
  EXPECT_TRUE(buffer.bytes().empty());
  EXPECT_TRUE(buffer.text().empty());
  EXPECT_TRUE(buffer.empty());
  EXPECT_EQ(buffer.as_iovec().iov_len, 0u);
  EXPECT_EQ(buffer.handle(), nullptr);
  buffer.reset();
  stealth::BufferStream stream(buffer);
  stream << "x" << std::flush;
  EXPECT_FALSE(stream);
  EXPECT_EQ(stream.error(), gone);
  EXPECT_EQ(home->text(), "abc");
  buffer = pool.make_buffer("new");
  EXPECT_EQ(buffer.text(), "new");
  EXPECT_EQ(pool.stats().out, 2u);
}

}  // namespace
