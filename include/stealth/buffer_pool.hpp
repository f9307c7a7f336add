// Buffers in C++20: growing memory that never moves, from pools that hold all of it together at a target by slowing
// down those who want more. Thin over buffer_pool.h, which says more about each call. Thread-safe, Buffers too: several
// threads may write to one. Moving, assigning and destroying an object are one thread's, as with any other. Sizes and
// offsets are bytes.
#ifndef STEALTH_BUFFER_POOL_HPP
#define STEALTH_BUFFER_POOL_HPP

#include <stealth/buffer_pool.h>

#include <chrono>
#include <cstddef>
#include <cstdint>
#include <new>
#include <span>
#include <stealth/error.hpp>
#include <string_view>
#include <system_error>
#include <utility>
#include <vector>

namespace stealth {
inline namespace v0 {

// What is 0 takes its default: a very small randomization_factor, not 0, is for waits that are always the same.
struct BufferPoolOptions {
  std::size_t max_pool_size = 27;  // idle buffers that are kept; larger ones than target / max_pool_size are not
  std::chrono::nanoseconds initial_interval = std::chrono::milliseconds(500);  // waited just at the target
  double randomization_factor = 0.5;  // waits are drawn from plus or minus this share; at most 1
  std::chrono::nanoseconds max_elapsed_time = std::chrono::seconds(15);  // the longest that one call waits
  bool write_backoff = false;                                            // writes wait, too
  std::size_t max_buffer_size = std::size_t{1} << 30;                    // bytes; each buffer takes as many addresses
  bool exclude_from_core_dump = false;                                   // their memory is left out of core dumps
  bool lock_in_memory = false;                                           // never swapped out
  bool huge_pages = false;                                               // huge pages are asked for
  bool wipe_on_put = false;                                              // overwritten with zeros when it comes back
  std::uint32_t trace_every = 0;  // one get in so many: the report of buffers that are out at the end tells where
};

// A buffer of a BufferPool, which goes back when this dies. Movable; empty by default and after it was moved from or
// put: then calls fail with invalid_handle (those that tell no errors do nothing, and return 0). It may outlive its
// pool: it is then readable, and no longer written to.
//
// What makes it larger, and write_at, waits where the pool has write_backoff and is at its target or above; and fails
// with pool_closed, out_of_range (beyond max_buffer_size) or not_enough_memory, without having changed anything.
class [[nodiscard]] Buffer {
 public:
  constexpr Buffer() noexcept = default;
  Buffer(Buffer&& other) noexcept : buffer_(std::exchange(other.buffer_, nullptr)) {}
  Buffer& operator=(Buffer&& other) noexcept {
    if (this != &other) {
      release();
      buffer_ = std::exchange(other.buffer_, nullptr);
    }
    return *this;
  }
  Buffer(Buffer const&) = delete;
  Buffer& operator=(Buffer const&) = delete;
  ~Buffer() { release(); }

  // --- writing; what comes back is the number of bytes: all of them, or with an error none ---

  // Appends.
  std::size_t write(std::span<std::byte const> bytes) {
    int const code = stealth_buffer_write(buffer_, bytes.data(), bytes.size());
    return all(code, bytes.size(), "stealth::Buffer::write");
  }
  std::size_t write(std::span<std::byte const> bytes, std::error_code& error) noexcept {
    return all(stealth_buffer_write(buffer_, bytes.data(), bytes.size()), bytes.size(), error);
  }
  std::size_t write(std::string_view text) { return write(as_bytes(text)); }
  std::size_t write(std::string_view text, std::error_code& error) noexcept { return write(as_bytes(text), error); }

  // Overwrites, and appends what goes beyond the end; out_of_range where it begins behind it.
  std::size_t write_at(std::span<std::byte const> bytes, std::size_t offset) {
    int const code = stealth_buffer_write_at(buffer_, bytes.data(), bytes.size(), offset);
    return all(code, bytes.size(), "stealth::Buffer::write_at");
  }
  std::size_t write_at(std::span<std::byte const> bytes, std::size_t offset, std::error_code& error) noexcept {
    return all(stealth_buffer_write_at(buffer_, bytes.data(), bytes.size(), offset), bytes.size(), error);
  }
  std::size_t write_at(std::string_view text, std::size_t offset) { return write_at(as_bytes(text), offset); }
  std::size_t write_at(std::string_view text, std::size_t offset, std::error_code& error) noexcept {
    return write_at(as_bytes(text), offset, error);
  }

  // Makes it larger by so many zero bytes; where they begin.
  std::size_t extend(std::size_t count) {
    std::error_code error;
    std::size_t const offset = extend(count, error);
    if (error) detail::fail(error, "stealth::Buffer::extend");
    return offset;
  }
  std::size_t extend(std::size_t count, std::error_code& error) noexcept {
    return extended(stealth_buffer_extend, count, error);
  }
  // The same, but the bytes are whatever lies there: for those who fill them at once.
  std::size_t extend_for_overwrite(std::size_t count) {
    std::error_code error;
    std::size_t const offset = extend_for_overwrite(count, error);
    if (error) detail::fail(error, "stealth::Buffer::extend_for_overwrite");
    return offset;
  }
  std::size_t extend_for_overwrite(std::size_t count, std::error_code& error) noexcept {
    return extended(stealth_buffer_extend_for_overwrite, count, error);
  }

  // Makes it shorter, and wakes those who wait for that; out_of_range where it is shorter already.
  void truncate(std::size_t size) { check(stealth_buffer_truncate(buffer_, size), "stealth::Buffer::truncate"); }
  void truncate(std::size_t size, std::error_code& error) noexcept {
    error = detail::error_from(stealth_buffer_truncate(buffer_, size));
  }
  // Makes it empty; its memory stays with it.
  void reset() noexcept { static_cast<void>(stealth_buffer_reset(buffer_)); }

  // --- reading ---

  // Fills `out` from the beginning; out_of_range where there is less, and nothing is copied then.
  std::size_t read(std::span<std::byte> out) const { return read_at(out, 0); }
  std::size_t read(std::span<std::byte> out, std::error_code& error) const noexcept { return read_at(out, 0, error); }
  std::size_t read_at(std::span<std::byte> out, std::size_t offset) const {
    int const code = stealth_buffer_read_at(buffer_, out.data(), out.size(), offset);
    return all(code, out.size(), "stealth::Buffer::read_at");
  }
  std::size_t read_at(std::span<std::byte> out, std::size_t offset, std::error_code& error) const noexcept {
    return all(stealth_buffer_read_at(buffer_, out.data(), out.size(), offset), out.size(), error);
  }
  // A copy of [from, to); out_of_range.
  [[nodiscard]] std::vector<std::byte> slice(std::size_t from, std::size_t to) const {
    std::vector<std::byte> copy;
    slice(copy, from, to, "stealth::Buffer::slice");
    return copy;
  }
  [[nodiscard]] std::vector<std::byte> slice(std::size_t from, std::size_t to, std::error_code& error) const noexcept {
    std::vector<std::byte> copy;
    slice(copy, from, to, error);
    return copy;
  }

  // A view of all of it. The bytes stay where they are as long as the buffer is out, however it grows.
  [[nodiscard]] std::span<std::byte> bytes() const noexcept {
    void* data = nullptr;
    std::size_t size = 0;
    static_cast<void>(stealth_buffer_view(buffer_, &data, &size));
    return {static_cast<std::byte*>(data), size};
  }
  [[nodiscard]] std::byte* data() const noexcept { return bytes().data(); }  // null: there is no buffer
  [[nodiscard]] std::size_t size() const noexcept { return bytes().size(); }
  [[nodiscard]] bool empty() const noexcept { return size() == 0; }
  [[nodiscard]] std::string_view text() const noexcept {
    std::span<std::byte> const all = bytes();
    return {reinterpret_cast<char const*>(all.data()), all.size()};
  }

  // For writev(2); for readv(2) after extend_for_overwrite(). A range is always one. out_of_range.
  [[nodiscard]] ::iovec as_iovec() const noexcept {
    std::span<std::byte> const all = bytes();
    return {all.data(), all.size()};
  }
  [[nodiscard]] ::iovec as_iovec(std::size_t from, std::size_t to) const {
    std::error_code error;
    ::iovec const view = as_iovec(from, to, error);
    if (error) detail::fail(error, "stealth::Buffer::as_iovec");
    return view;
  }
  [[nodiscard]] ::iovec as_iovec(std::size_t from, std::size_t to, std::error_code& error) const noexcept {
    ::iovec view{};
    error = detail::error_from(stealth_buffer_iovec(buffer_, from, to, &view));
    return view;
  }

  [[nodiscard]] explicit operator bool() const noexcept { return buffer_ != nullptr; }
  // For the C API.
  [[nodiscard]] stealth_buffer* handle() const noexcept { return buffer_; }

 private:
  friend class BufferPool;
  explicit Buffer(stealth_buffer* buffer) noexcept : buffer_(buffer) {}

  void release() noexcept {
    if (buffer_ != nullptr) static_cast<void>(stealth_buffer_release(std::exchange(buffer_, nullptr)));
  }
  static void check(int code, char const* what) {
    if (code != STEALTH_OK) [[unlikely]]
      detail::fail(detail::error_from(code), what);
  }
  static std::size_t all(int code, std::size_t count, char const* what) {
    check(code, what);
    return count;
  }
  static std::size_t all(int code, std::size_t count, std::error_code& error) noexcept {
    error = detail::error_from(code);
    return error ? 0 : count;
  }
  [[nodiscard]] static std::span<std::byte const> as_bytes(std::string_view text) noexcept {
    return std::as_bytes(std::span(text.data(), text.size()));
  }
  template <class Extend>
  std::size_t extended(Extend call, std::size_t count, std::error_code& error) noexcept {
    std::uint64_t offset = 0;
    error = detail::error_from(call(buffer_, count, &offset));
    return error ? 0 : static_cast<std::size_t>(offset);
  }
  [[nodiscard]] std::error_code range(std::size_t from, std::size_t to) const noexcept {
    ::iovec view{};
    return detail::error_from(stealth_buffer_iovec(buffer_, from, to, &view));
  }
  void slice(std::vector<std::byte>& copy, std::size_t from, std::size_t to, char const* what) const {
    std::error_code error = range(from, to);
    if (!error) {
      copy.resize(to - from);
      error = detail::error_from(stealth_buffer_read_at(buffer_, copy.data(), copy.size(), from));
    }
    if (error) detail::fail(error, what);
  }
  void slice(std::vector<std::byte>& copy, std::size_t from, std::size_t to, std::error_code& error) const noexcept {
    error = range(from, to);
    if (error) return;
#ifdef __cpp_exceptions
    try {
#endif
      copy.resize(to - from);
#ifdef __cpp_exceptions
    } catch (...) {
      error = make_error_code(errc::not_enough_memory);
      return;
    }
#endif
    error = detail::error_from(stealth_buffer_read_at(buffer_, copy.data(), copy.size(), from));
    if (error) copy.clear();
  }

  stealth_buffer* buffer_ = nullptr;
};

// A pool of buffers that should together hold less than a target. Below it nothing waits; from it on a get of a new
// buffer, backoff, and, with write_backoff, each write wait: the longer, the further the buffers are over it. Movable;
// one that was moved from has no buffers, and its calls fail with invalid_handle.
class BufferPool {
 public:
  // invalid_options (a target of 0 or above 2^62, a negative time, a factor outside of 0 to 1, a max_buffer_size above
  // 2^46), not_enough_memory, too_many.
  explicit BufferPool(std::size_t target_size, BufferPoolOptions const& options = {}) {
    std::error_code error;
    create(target_size, options, error);
    if (error) detail::fail(error, "stealth::BufferPool");
  }
  // Where it fails the pool is like one that was moved from.
  BufferPool(std::size_t target_size, BufferPoolOptions const& options, std::error_code& error) noexcept {
    create(target_size, options, error);
  }
  BufferPool(BufferPool&& other) noexcept : pool_(std::exchange(other.pool_, nullptr)) {}
  BufferPool& operator=(BufferPool&& other) noexcept {
    if (this != &other) {
      destroy();
      pool_ = std::exchange(other.pool_, nullptr);
    }
    return *this;
  }
  BufferPool(BufferPool const&) = delete;
  BufferPool& operator=(BufferPool const&) = delete;
  // As close(). Buffers that are out stay readable; how many they are is reported in one line on stderr.
  ~BufferPool() { destroy(); }

  // An idle buffer at once, the one that was used last first; else a new one, after a wait where the pool is at its
  // target or above. pool_closed, not_enough_memory, too_many, not_supported (memory cannot be kept out of core dumps).
  [[nodiscard]] Buffer get() {
    std::error_code error;
    Buffer buffer = get(error);
    if (error) [[unlikely]]
      detail::fail(error, "stealth::BufferPool::get");
    return buffer;
  }
  [[nodiscard]] Buffer get(std::error_code& error) noexcept {
    stealth_buffer* buffer = nullptr;
    error = detail::error_from(stealth_buffer_pool_get(pool_, &buffer));
    return Buffer(buffer);
  }
  // With initial content, counted like any other; with write_backoff it waits though an idle buffer is there. As get(),
  // and out_of_range beyond max_buffer_size.
  [[nodiscard]] Buffer make_buffer(std::span<std::byte const> content) {
    std::error_code error;
    Buffer buffer = make_buffer(content, error);
    if (error) detail::fail(error, "stealth::BufferPool::make_buffer");
    return buffer;
  }
  [[nodiscard]] Buffer make_buffer(std::span<std::byte const> content, std::error_code& error) noexcept {
    stealth_buffer* buffer = nullptr;
    error = detail::error_from(stealth_buffer_pool_make(pool_, content.data(), content.size(), &buffer));
    return Buffer(buffer);
  }
  [[nodiscard]] Buffer make_buffer(std::string_view text) { return make_buffer(Buffer::as_bytes(text)); }
  [[nodiscard]] Buffer make_buffer(std::string_view text, std::error_code& error) noexcept {
    return make_buffer(Buffer::as_bytes(text), error);
  }

  // Resets it and keeps it for the next get, or drops it where it is too large or enough are kept. It is empty
  // afterwards, also with pool_closed; one of another pool is left as it is: invalid_block.
  void put(Buffer&& buffer) {
    std::error_code error;
    put(std::move(buffer), error);
    if (error) [[unlikely]]
      detail::fail(error, "stealth::BufferPool::put");
  }
  void put(Buffer&& buffer, std::error_code& error) noexcept {
    int const code = stealth_buffer_pool_put(pool_, buffer.buffer_);
    if (code == STEALTH_OK || code == STEALTH_POOL_CLOSED) buffer.buffer_ = nullptr;
    error = detail::error_from(code);
  }

  // The sum of the buffers' sizes over the target; 0 once closed. Exact when no call is in flight.
  [[nodiscard]] double fill_ratio() const noexcept {
    double ratio = 0;
    static_cast<void>(stealth_buffer_pool_fill_ratio(pool_, &ratio));
    return ratio;
  }
  // Waits as the get of a new buffer would; how long it took. pool_closed.
  std::chrono::nanoseconds backoff() {
    std::error_code error;
    auto const waited = backoff(error);
    if (error) detail::fail(error, "stealth::BufferPool::backoff");
    return waited;
  }
  std::chrono::nanoseconds backoff(std::error_code& error) noexcept {
    std::uint64_t waited = 0;
    error = detail::error_from(stealth_buffer_pool_backoff(pool_, &waited));
    return std::chrono::nanoseconds(waited);
  }
  // Idle buffers' memory goes back to the kernel; the bytes.
  std::size_t trim() noexcept {
    std::uint64_t bytes = 0;
    static_cast<void>(stealth_buffer_pool_trim(pool_, &bytes));
    return static_cast<std::size_t>(bytes);
  }
  // Ends waits at once; they fail with pool_closed, as later calls do. Buffers that are out stay readable. Twice is
  // harmless.
  void close() noexcept { static_cast<void>(stealth_buffer_pool_close(pool_)); }

  [[nodiscard]] std::size_t target_size() const noexcept { return static_cast<std::size_t>(stats().target); }
  [[nodiscard]] ::stealth_buffer_pool_statistics stats() const noexcept {
    ::stealth_buffer_pool_statistics now{};
    now.size = sizeof now;
    static_cast<void>(stealth_buffer_pool_stats(pool_, &now));
    return now;
  }
  // For the C API. Null once it was moved from.
  [[nodiscard]] stealth_buffer_pool* handle() const noexcept { return pool_; }

 private:
  void create(std::size_t target_size, BufferPoolOptions const& options, std::error_code& error) noexcept {
    if (options.initial_interval.count() < 0 || options.max_elapsed_time.count() < 0) {
      error = make_error_code(errc::invalid_options);
      return;
    }
    auto const flag = [](bool wanted, std::uint32_t bit) { return wanted ? bit : 0; };
    ::stealth_buffer_pool_options given{};
    given.size = sizeof given;
    given.max_pool_size = options.max_pool_size;
    given.initial_interval_ns = static_cast<std::uint64_t>(options.initial_interval.count());
    given.max_elapsed_ns = static_cast<std::uint64_t>(options.max_elapsed_time.count());
    given.randomization_factor = options.randomization_factor;
    given.max_buffer_size = options.max_buffer_size;
    given.trace_every = options.trace_every;
    given.flags = flag(options.write_backoff, STEALTH_BUFFERS_WRITE_BACKOFF) |
                  flag(options.exclude_from_core_dump, STEALTH_BUFFERS_EXCLUDE_FROM_CORE_DUMP) |
                  flag(options.lock_in_memory, STEALTH_BUFFERS_LOCK_IN_MEMORY) |
                  flag(options.huge_pages, STEALTH_BUFFERS_HUGE_PAGES) |
                  flag(options.wipe_on_put, STEALTH_BUFFERS_WIPE_ON_PUT);
    error = detail::error_from(stealth_buffer_pool_create(target_size, &given, &pool_));
  }
  void destroy() noexcept {
    if (pool_ != nullptr) static_cast<void>(stealth_buffer_pool_destroy(std::exchange(pool_, nullptr)));
  }

  stealth_buffer_pool* pool_ = nullptr;
};

}  // namespace v0
}  // namespace stealth

#endif
