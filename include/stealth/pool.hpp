// Explicit pools in C++20: blocks of one size, cut from an address range of their own. Thin over pool.h, which says
// more about each call. Thread-safe, but a single Block is one thread's at a time, like any other object, and a Pool
// ends or moves when nobody is in a call with it. Sizes and alignments are bytes.
#ifndef STEALTH_POOL_HPP
#define STEALTH_POOL_HPP

#include <stealth/pool.h>

#include <chrono>
#include <cstddef>
#include <cstdint>
#include <span>
#include <stealth/error.hpp>
#include <system_error>
#include <utility>

namespace stealth {
inline namespace v0 {

// 0 or false is the default, but of block_size.
struct PoolOptions {
  std::size_t block_size = STEALTH_POOL_DEFAULT_BLOCK_SIZE;  // bytes, any number but 0
  std::size_t preallocate = 0;                               // blocks that are mapped and touched at once
  std::size_t alignment = 0;            // a power of two; 0: to the page, or to what divides a smaller size
  bool exclude_from_core_dump = false;  // its memory is left out of core dumps
  bool lock_in_memory = false;          // never swapped out; counts towards RLIMIT_MEMLOCK
  bool huge_pages = false;              // huge pages are asked for
  bool wipe_on_put = false;             // a block is overwritten with zeros when it comes back
  std::uint32_t trace_every = 0;        // one get in so many: the report of blocks that are out at the end tells where
};

// A block of a Pool, which goes back when this dies. Movable; empty by default, after it was moved from, released or
// reset. One that outlives its pool, or the pool's close(), does nothing any more, and touching its memory faults.
class [[nodiscard]] Block {
 public:
  constexpr Block() noexcept = default;
  Block(Block&& other) noexcept
      : pool_(std::exchange(other.pool_, nullptr)),
        data_(std::exchange(other.data_, nullptr)),
        size_(std::exchange(other.size_, 0)) {}
  Block& operator=(Block&& other) noexcept {
    if (this != &other) {
      reset();
      pool_ = std::exchange(other.pool_, nullptr);
      data_ = std::exchange(other.data_, nullptr);
      size_ = std::exchange(other.size_, 0);
    }
    return *this;
  }
  Block(Block const&) = delete;
  Block& operator=(Block const&) = delete;
  ~Block() { reset(); }

  [[nodiscard]] std::byte* data() const noexcept { return static_cast<std::byte*>(data_); }  // null: empty
  [[nodiscard]] std::size_t size() const noexcept { return size_; }                          // bytes; 0: empty
  [[nodiscard]] std::span<std::byte> span() const noexcept { return {data(), size_}; }
  [[nodiscard]] explicit operator bool() const noexcept { return data_ != nullptr; }

  // Gives it back now.
  void reset() noexcept {
    if (data_ != nullptr) static_cast<void>(stealth_pool_put(pool_, data_, size_));
    forget();
  }
  // The caller owns it now, and gives it back with Pool::put.
  [[nodiscard]] std::span<std::byte> release() noexcept {
    std::span<std::byte> const owned = span();
    forget();
    return owned;
  }

 private:
  friend class Pool;
  Block(stealth_pool* pool, void* data, std::size_t size) noexcept : pool_(pool), data_(data), size_(size) {}
  void forget() noexcept {
    pool_ = nullptr;
    data_ = nullptr;
    size_ = 0;
  }

  stealth_pool* pool_ = nullptr;
  void* data_ = nullptr;
  std::size_t size_ = 0;
};

// A pool of at most max_blocks blocks. Movable; a pool that was moved from has no blocks, and its calls fail with
// invalid_handle (those that tell no errors do nothing, and return 0). Blocks keep to the pool wherever it moves.
class Pool {
 public:
  // Reserves addresses for all of its blocks, and maps and touches options.preallocate of them.
  // invalid_options (no blocks or more than 2^30 - 2, a size of 0, more bytes than 2^46, an alignment that is no power
  // of two), prealloc_out_of_bounds, not_enough_memory (what was preallocated by then has gone back), not_supported,
  // too_many.
  explicit Pool(std::size_t max_blocks, PoolOptions const& options = {}) {
    std::error_code error;
    create(max_blocks, options, error);
    if (error) detail::fail(error, "stealth::Pool");
  }
  // Where it fails the pool is like one that was moved from.
  Pool(std::size_t max_blocks, PoolOptions const& options, std::error_code& error) noexcept {
    create(max_blocks, options, error);
  }
  Pool(Pool&& other) noexcept
      : pool_(std::exchange(other.pool_, nullptr)), block_size_(std::exchange(other.block_size_, 0)) {}
  Pool& operator=(Pool&& other) noexcept {
    if (this != &other) {
      destroy();
      pool_ = std::exchange(other.pool_, nullptr);
      block_size_ = std::exchange(other.block_size_, 0);
    }
    return *this;
  }
  Pool(Pool const&) = delete;
  Pool& operator=(Pool const&) = delete;
  // As close(): blocks that are still out are reported in one line on stderr.
  ~Pool() { destroy(); }

  // --- one block ---

  // A free block, the most recently used one of this thread first, else a new one. Not zeroed.
  // pool_full, pool_closed, not_enough_memory.
  [[nodiscard]] Block get() {
    std::error_code error;
    Block block = get(error);
    if (error) [[unlikely]]
      detail::fail(error, "stealth::Pool::get");
    return block;
  }
  [[nodiscard]] Block get(std::error_code& error) noexcept {
    void* block = nullptr;
    int const code = stealth_pool_get(pool_, &block);
    return made(code, block, error);
  }

  // Waits for a block to come back where the pool is full, or there is no memory or capacity for a new one: the full
  // time, also where no other thread could put one.
  // timed_out, pool_closed.
  template <class Rep, class Period>
  [[nodiscard]] Block get_for(std::chrono::duration<Rep, Period> timeout) {
    std::error_code error;
    Block block = get_for(timeout, error);
    if (error) detail::fail(error, "stealth::Pool::get_for");
    return block;
  }
  template <class Rep, class Period>
  [[nodiscard]] Block get_for(std::chrono::duration<Rep, Period> timeout, std::error_code& error) noexcept {
    void* block = nullptr;
    int const code = stealth_pool_get_for(pool_, nanoseconds(timeout), &block);
    return made(code, block, error);
  }
  // Of any clock; one that is set meanwhile is looked at again when its time should have come.
  template <class Clock, class Duration>
  [[nodiscard]] Block get_until(std::chrono::time_point<Clock, Duration> time) {
    std::error_code error;
    Block block = get_until(time, error);
    if (error) detail::fail(error, "stealth::Pool::get_until");
    return block;
  }
  template <class Clock, class Duration>
  [[nodiscard]] Block get_until(std::chrono::time_point<Clock, Duration> time, std::error_code& error) noexcept {
    for (;;) {
      Block block = get_for(time_until(time), error);
      if (error != errc::timed_out || time_until(time).count() <= 0) return block;
    }
  }

  // Gives back what Block::release or the C API gave: exactly that span, and once.
  // invalid_block (foreign, a part of a block, back already: nothing changes), pool_closed.
  void put(std::span<std::byte> block) {
    std::error_code error;
    put(block, error);
    if (error) [[unlikely]]
      detail::fail(error, "stealth::Pool::put");
  }
  void put(std::span<std::byte> block, std::error_code& error) noexcept {
    error = detail::error_from(stealth_pool_put(pool_, block.data(), block.size()));
  }
  // The block is empty afterwards; where it fails it is left as it is. One of another pool, and an empty one, is
  // invalid_block.
  void put(Block&& block) {
    std::error_code error;
    put(std::move(block), error);
    if (error) detail::fail(error, "stealth::Pool::put");
  }
  void put(Block&& block, std::error_code& error) noexcept {
    error = detail::error_from(stealth_pool_put(pool_, block.data_, block.size_));
    if (!error) block.forget();
  }

  // --- several at once ---

  // Fills all of `blocks`, or none. What they held before goes back first, also where it then fails. As get();
  // pool_full: there are fewer.
  void get_bulk(std::span<Block> blocks) {
    std::error_code error;
    get_bulk(blocks, error);
    if (error) detail::fail(error, "stealth::Pool::get_bulk");
  }
  void get_bulk(std::span<Block> blocks, std::error_code& error) noexcept {
    for (Block& block : blocks) block.reset();
    error = detail::error_from(stealth_pool_get_bulk(pool_, pointers(blocks), blocks.size(), sizeof(Block)));
    if (error) return;
    for (Block& block : blocks) {
      block.pool_ = pool_;
      block.size_ = block_size_;
    }
  }
  // Takes all of `blocks` back, or, where one of them may not be put, none. Empty ones are passed over. As put().
  void put_bulk(std::span<Block> blocks) {
    std::error_code error;
    put_bulk(blocks, error);
    if (error) detail::fail(error, "stealth::Pool::put_bulk");
  }
  void put_bulk(std::span<Block> blocks, std::error_code& error) noexcept {
    error = detail::error_from(stealth_pool_put_bulk(pool_, pointers(blocks), blocks.size(), sizeof(Block)));
    if (error) return;
    for (Block& block : blocks) block.forget();
  }

  // --- the pool ---

  // Gives the memory of free blocks back to the kernel; the bytes. free_count() and alloc_count() become smaller.
  std::size_t trim() noexcept {
    std::uint64_t given_back = 0;
    static_cast<void>(stealth_pool_trim(pool_, &given_back));
    return static_cast<std::size_t>(given_back);
  }
  // Whether the address lies in a block that is in use.
  [[nodiscard]] bool owns(void const* address) const noexcept {
    int owns = 0;
    static_cast<void>(stealth_pool_owns(pool_, address, &owns));
    return owns != 0;
  }
  // Everything goes back to the kernel at once, blocks that are out, too: touching them faults. Calls that wait end
  // with pool_closed, as all later ones do; counts are 0. Twice is harmless.
  void close() noexcept { static_cast<void>(stealth_pool_close(pool_)); }

  // Counts are exact when no call is in flight.
  [[nodiscard]] std::size_t free_count() const noexcept { return number(figures().free); }        // mapped and free
  [[nodiscard]] std::size_t alloc_count() const noexcept { return number(figures().allocated); }  // mapped
  [[nodiscard]] std::size_t in_use() const noexcept { return number(figures().in_use); }          // out
  [[nodiscard]] std::size_t high_water() const noexcept {
    return number(figures().high_water);
  }  // out at once, at most
  [[nodiscard]] std::size_t max_blocks() const noexcept { return number(figures().max_blocks); }
  [[nodiscard]] std::size_t block_size() const noexcept { return block_size_; }
  [[nodiscard]] ::stealth_pool_statistics stats() const noexcept { return figures(); }
  // For the C API. Null once it was moved from.
  [[nodiscard]] stealth_pool* handle() const noexcept { return pool_; }

 private:
  void create(std::size_t max_blocks, PoolOptions const& options, std::error_code& error) noexcept {
    if (options.block_size == 0) {
      error = make_error_code(errc::invalid_options);
      return;
    }
    auto const flag = [](bool wanted, std::uint32_t bit) { return wanted ? bit : 0; };
    ::stealth_pool_options given{};
    given.size = sizeof given;
    given.block_size = options.block_size;
    given.preallocate = options.preallocate;
    given.alignment = options.alignment;
    given.trace_every = options.trace_every;
    given.flags = flag(options.exclude_from_core_dump, STEALTH_POOL_EXCLUDE_FROM_CORE_DUMP) |
                  flag(options.lock_in_memory, STEALTH_POOL_LOCK_IN_MEMORY) |
                  flag(options.huge_pages, STEALTH_POOL_HUGE_PAGES) |
                  flag(options.wipe_on_put, STEALTH_POOL_WIPE_ON_PUT);
    error = detail::error_from(stealth_pool_create(max_blocks, &given, &pool_));
    if (!error) block_size_ = options.block_size;
  }
  void destroy() noexcept {
    if (pool_ != nullptr) static_cast<void>(stealth_pool_destroy(std::exchange(pool_, nullptr)));
  }
  [[nodiscard]] Block made(int code, void* block, std::error_code& error) noexcept {
    if (code == STEALTH_OK) [[likely]] {
      error.clear();
      return {pool_, block, block_size_};
    }
    error = detail::error_from(code);
    return {};
  }
  [[nodiscard]] ::stealth_pool_statistics figures() const noexcept {
    ::stealth_pool_statistics now{};
    now.size = sizeof now;
    static_cast<void>(stealth_pool_stats(pool_, &now));
    return now;
  }
  // The C API finds the blocks' pointers among their other members.
  [[nodiscard]] static void** pointers(std::span<Block> blocks) noexcept {
    return blocks.empty() ? nullptr : &blocks.front().data_;
  }
  [[nodiscard]] static std::size_t number(std::uint64_t count) noexcept { return static_cast<std::size_t>(count); }

  // Rounded up, so that no wait is too short; what is too long becomes the longest.
  template <class Rep, class Period>
  [[nodiscard]] static std::uint64_t nanoseconds(std::chrono::duration<Rep, Period> time) noexcept {
    using Double = std::chrono::duration<double, std::nano>;
    if (!(Double(time) > Double(0))) return 0;
    if (Double(time) >= Double(9e18)) return UINT64_MAX;
    return static_cast<std::uint64_t>(std::chrono::ceil<std::chrono::nanoseconds>(time).count());
  }

  // Times that are centuries away, in either direction, would overflow their difference (or the change to the clock's
  // unit): they become a century.
  template <class Clock, class Duration>
  [[nodiscard]] static std::chrono::nanoseconds time_until(std::chrono::time_point<Clock, Duration> time) noexcept {
    using Seconds = std::chrono::duration<double>;
    constexpr Seconds kCentury(3.2e9);
    auto const now = Clock::now();
    Seconds const left = Seconds(time.time_since_epoch()) - Seconds(now.time_since_epoch());
    if (left > kCentury) return std::chrono::hours(24 * 36500);
    if (left < -kCentury) return -std::chrono::hours(24 * 36500);
    return std::chrono::ceil<std::chrono::nanoseconds>(time - now);
  }

  stealth_pool* pool_ = nullptr;
  std::size_t block_size_ = 0;
};

}  // namespace v0
}  // namespace stealth

#endif
