// The C functions of include/stealth/buffer_pool.h, and with them the way of a write:
//
//   stealth_buffer_write -> BufferCore::append_quickly: does it fit below the buffer's limit?
//                        -> otherwise change() -> make_ready: memory, charged without a lock
//                                              -> BufferPoolCore::admit, under the mutex: the sum; a wait first?
//
// A get and a put do so as well: BufferPoolCore::get_quickly and put_quickly, otherwise get() and give_back().
#include <cstring>

#include "pool/buffer_hot.hpp"

#define STEALTH_API extern "C" __attribute__((visibility("default")))

namespace stealth {

namespace {

inline std::uintptr_t number(void const* handle) noexcept { return reinterpret_cast<std::uintptr_t>(handle); }

// What the handle once stood for, or still does.
inline BufferCore* core_of(stealth_buffer const* handle) noexcept { return g_buffers.at(number(handle)); }
inline BufferPoolCore* core_of(stealth_buffer_pool const* handle) noexcept { return g_buffer_pools.at(number(handle)); }

__attribute__((noinline)) int change(stealth_buffer* handle, BufferCore::Change const& change,
                                     std::uint64_t* begin) noexcept {
  BufferCore* const core = core_of(handle);
  return core == nullptr ? STEALTH_INVALID_HANDLE : core->change(number(handle), change, begin);
}

__attribute__((noinline)) int write_slowly(stealth_buffer* handle, void const* bytes, std::size_t count) noexcept {
  if (bytes == nullptr && count != 0) return STEALTH_INVALID_ARGUMENT;
  BufferCore* const core = core_of(handle);
  if (core == nullptr) return STEALTH_INVALID_HANDLE;
  if (core->append(number(handle), bytes, count)) return STEALTH_OK;
  return core->change(number(handle), {.bytes = count, .from = bytes}, nullptr);
}

struct stealth_buffer_pool_options const kAllDefaults = {
    sizeof(struct stealth_buffer_pool_options), 0, 0, 0, 0, 0, 0, 0};

// Of a program of another version: what it does not have is 0, and what this library does not know must be.
stealth_error read_options(struct stealth_buffer_pool_options const* from,
                           struct stealth_buffer_pool_options& into) noexcept {
  constexpr std::uint64_t kLargestSize = 4096;
  if (from == nullptr) {
    into = kAllDefaults;
    return STEALTH_OK;
  }
  if (from->size < offsetof(struct stealth_buffer_pool_options, max_pool_size) + sizeof from->max_pool_size ||
      from->size > kLargestSize)
    return STEALTH_INVALID_ARGUMENT;
  into = {};
  std::memcpy(&into, from, static_cast<std::size_t>(min(from->size, std::uint64_t{sizeof into})));
  auto const* const bytes = reinterpret_cast<unsigned char const*>(from);
  for (std::uint64_t at = sizeof into; at < from->size; ++at) {
    if (bytes[at] != 0) return STEALTH_INVALID_OPTIONS;
  }
  return STEALTH_OK;
}

stealth_error create(std::uint64_t target, struct stealth_buffer_pool_options const& options,
                     stealth_buffer_pool*& made) noexcept {
  stealth_error error = STEALTH_OK;
  BufferPoolCore* const core = g_buffer_pools.take(error);
  if (core == nullptr) return error;
  error = core->begin(target, options);
  if (error != STEALTH_OK) {
    g_buffer_pools.give_back(*core);
    return error;
  }
  std::uintptr_t const handle = g_buffer_pools.new_handle(*core);
  core->open(handle);
  made = reinterpret_cast<stealth_buffer_pool*>(handle);
  return STEALTH_OK;
}

__attribute__((noinline)) stealth_error get(stealth_buffer_pool* pool, void const* content, std::size_t size,
                                            stealth_buffer*& made) noexcept {
  BufferPoolCore* const core = core_of(pool);
  if (core == nullptr) return STEALTH_INVALID_HANDLE;
  BufferCore* buffer = nullptr;
  stealth_error error = core->get(number(pool), size, buffer);
  if (error != STEALTH_OK) return error;
  std::uintptr_t const handle = buffer->hand_out();
  if (size != 0) {
    error = buffer->change(handle, {.bytes = size, .from = content, .has_waited = true}, nullptr);
    if (error != STEALTH_OK) {
      static_cast<void>(buffer->give_back(handle, nullptr));
      return error;
    }
  }
  made = reinterpret_cast<stealth_buffer*>(handle);
  return STEALTH_OK;
}

}  // namespace

}  // namespace stealth

using stealth::BufferCore;
using stealth::BufferPoolCore;
using stealth::core_of;
using stealth::number;

// --- buffers ---

STEALTH_API int stealth_buffer_write(stealth_buffer* buffer, void const* bytes, size_t count) {
  BufferCore* const core = core_of(buffer);
  if (core != nullptr && core->append_quickly(number(buffer), bytes, count)) [[likely]]
    return STEALTH_OK;
  return stealth::write_slowly(buffer, bytes, count);
}

STEALTH_API int stealth_buffer_write_at(stealth_buffer* buffer, void const* bytes, size_t count, uint64_t offset) {
  if (bytes == nullptr && count != 0) return STEALTH_INVALID_ARGUMENT;
  std::uint64_t const at = stealth::min(offset, BufferCore::kAtEnd - 1);  // which is beyond every end, too
  return stealth::change(buffer, {.at = at, .bytes = count, .from = bytes}, nullptr);
}

STEALTH_API int stealth_buffer_extend(stealth_buffer* buffer, size_t count, uint64_t* offset) {
  return stealth::change(buffer, {.bytes = count, .zeroed = true}, offset);
}

STEALTH_API int stealth_buffer_extend_for_overwrite(stealth_buffer* buffer, size_t count, uint64_t* offset) {
  return stealth::change(buffer, {.bytes = count}, offset);
}

STEALTH_API int stealth_buffer_read_at(stealth_buffer* buffer, void* into, size_t count, uint64_t offset) {
  if (into == nullptr && count != 0) return STEALTH_INVALID_ARGUMENT;
  BufferCore* const core = core_of(buffer);
  return core == nullptr ? STEALTH_INVALID_HANDLE : core->read(number(buffer), into, count, offset);
}

STEALTH_API int stealth_buffer_read(stealth_buffer* buffer, void* into, size_t count) {
  return stealth_buffer_read_at(buffer, into, count, 0);
}

STEALTH_API int stealth_buffer_truncate(stealth_buffer* buffer, uint64_t size) {
  BufferCore* const core = core_of(buffer);
  return core == nullptr ? STEALTH_INVALID_HANDLE : core->truncate(number(buffer), size);
}

STEALTH_API int stealth_buffer_reset(stealth_buffer* buffer) { return stealth_buffer_truncate(buffer, 0); }

STEALTH_API int stealth_buffer_view(stealth_buffer* buffer, void** data, size_t* size) {
  char* at = nullptr;
  std::uint64_t bytes = 0;
  BufferCore* const core = core_of(buffer);
  stealth_error const error = core == nullptr ? STEALTH_INVALID_HANDLE : core->view(number(buffer), at, bytes);
  if (data != nullptr) *data = at;
  if (size != nullptr) *size = static_cast<size_t>(bytes);
  return error;
}

STEALTH_API int stealth_buffer_iovec(stealth_buffer* buffer, uint64_t from, uint64_t to, struct iovec* view) {
  if (view == nullptr) return STEALTH_INVALID_ARGUMENT;
  *view = {nullptr, 0};
  void* data = nullptr;
  size_t size = 0;
  int const error = stealth_buffer_view(buffer, &data, &size);
  if (error != STEALTH_OK) return error;
  if (from > to || to > size) return STEALTH_OUT_OF_RANGE;
  *view = {static_cast<char*>(data) + from, static_cast<size_t>(to - from)};
  return STEALTH_OK;
}

STEALTH_API int stealth_buffer_release(stealth_buffer* buffer) {
  BufferCore* const core = core_of(buffer);
  if (core == nullptr) return STEALTH_INVALID_HANDLE;
  stealth_error const error = core->give_back(number(buffer), nullptr);
  return error == STEALTH_POOL_CLOSED ? STEALTH_OK : error;
}

// --- pools ---

STEALTH_API int stealth_buffer_pool_create(uint64_t target_size, struct stealth_buffer_pool_options const* options,
                                           stealth_buffer_pool** pool) {
  if (pool == nullptr) return STEALTH_INVALID_ARGUMENT;
  *pool = nullptr;
  struct stealth_buffer_pool_options given;
  stealth_error const error = stealth::read_options(options, given);
  return error == STEALTH_OK ? stealth::create(target_size, given, *pool) : error;
}

STEALTH_API int stealth_buffer_pool_close(stealth_buffer_pool* pool) {
  BufferPoolCore* const core = core_of(pool);
  return core == nullptr ? STEALTH_INVALID_HANDLE : core->close(number(pool));
}

STEALTH_API int stealth_buffer_pool_destroy(stealth_buffer_pool* pool) {
  BufferPoolCore* const core = core_of(pool);
  return core == nullptr ? STEALTH_INVALID_HANDLE : core->destroy(number(pool));
}

STEALTH_API int stealth_buffer_pool_backoff(stealth_buffer_pool* pool, uint64_t* waited_ns) {
  std::uint64_t waited = 0;
  BufferPoolCore* const core = core_of(pool);
  stealth_error const error = core == nullptr ? STEALTH_INVALID_HANDLE : core->back_off(number(pool), waited);
  if (waited_ns != nullptr) *waited_ns = waited;
  return error;
}

STEALTH_API int stealth_buffer_pool_fill_ratio(stealth_buffer_pool* pool, double* ratio) {
  if (ratio == nullptr) return STEALTH_INVALID_ARGUMENT;
  *ratio = 0;
  BufferPoolCore* const core = core_of(pool);
  return core == nullptr ? STEALTH_INVALID_HANDLE : core->fill_ratio(number(pool), *ratio);
}

STEALTH_API int stealth_buffer_pool_count(stealth_buffer_pool* pool, uint64_t bytes) {
  BufferPoolCore* const core = core_of(pool);
  return core == nullptr ? STEALTH_INVALID_HANDLE : core->count(number(pool), bytes);
}

STEALTH_API int stealth_buffer_pool_discount(stealth_buffer_pool* pool, uint64_t bytes) {
  BufferPoolCore* const core = core_of(pool);
  return core == nullptr ? STEALTH_INVALID_HANDLE : core->discount(number(pool), bytes);
}

STEALTH_API int stealth_buffer_pool_get(stealth_buffer_pool* pool, stealth_buffer** buffer) {
  if (buffer == nullptr) return STEALTH_INVALID_ARGUMENT;
  BufferPoolCore* const core = core_of(pool);
  if (core != nullptr) {
    if (BufferCore* const idle = core->get_quickly(number(pool))) [[likely]] {
      *buffer = reinterpret_cast<stealth_buffer*>(idle->hand_out());
      return STEALTH_OK;
    }
  }
  *buffer = nullptr;
  return stealth::get(pool, nullptr, 0, *buffer);
}

STEALTH_API int stealth_buffer_pool_make(stealth_buffer_pool* pool, void const* content, size_t size,
                                         stealth_buffer** buffer) {
  if (buffer == nullptr) return STEALTH_INVALID_ARGUMENT;
  *buffer = nullptr;
  if (content == nullptr && size != 0) return STEALTH_INVALID_ARGUMENT;
  return stealth::get(pool, content, size, *buffer);
}

STEALTH_API int stealth_buffer_pool_put(stealth_buffer_pool* pool, stealth_buffer* buffer) {
  BufferPoolCore* const whose = core_of(pool);
  BufferCore* const core = core_of(buffer);
  if (whose == nullptr || core == nullptr) return STEALTH_INVALID_HANDLE;
  if (whose->put_quickly(number(pool), *core, number(buffer))) [[likely]]
    return STEALTH_OK;
  return whose->is(number(pool)) ? core->give_back(number(buffer), whose) : STEALTH_INVALID_HANDLE;
}

STEALTH_API int stealth_buffer_pool_trim(stealth_buffer_pool* pool, uint64_t* given_back) {
  std::uint64_t bytes = 0;
  BufferPoolCore* const core = core_of(pool);
  stealth_error const error = core == nullptr ? STEALTH_INVALID_HANDLE : core->trim(number(pool), bytes);
  if (given_back != nullptr) *given_back = bytes;
  return error;
}

STEALTH_API int stealth_buffer_pool_stats(stealth_buffer_pool* pool, struct stealth_buffer_pool_statistics* stats) {
  constexpr std::size_t kLeast = offsetof(struct stealth_buffer_pool_statistics, target) + sizeof stats->target;
  if (stats == nullptr || stats->size < kLeast) return STEALTH_INVALID_ARGUMENT;
  BufferPoolCore* const core = core_of(pool);
  struct stealth_buffer_pool_statistics now = {};
  now.size = stealth::min(stats->size, std::uint64_t{sizeof now});
  stealth_error const error = core == nullptr ? STEALTH_INVALID_HANDLE : core->read(number(pool), now);
  if (error == STEALTH_OK) std::memcpy(stats, &now, static_cast<std::size_t>(now.size));
  return error;
}
