// The C functions of include/stealth/pool.h, and with them the way of a get and a put:
//
//   stealth_pool_get -> Magazine::enter: is the magazine that this thread used last open, and for this pool?
//                    -> take_from: the block on top
//                    -> otherwise get_elsewhere: is the handle good?  -> this thread's magazine of that pool
//                       -> PoolCore::take, under the mutex
//   stealth_pool_put -> the same, with give_back_to: is it the block that was last there, and out?
//                    -> otherwise put_here: give_to: is it a block, and is it out?
#include <cstring>

#include "os/os.hpp"
#include "pool/pool_heads.hpp"

#define STEALTH_API extern "C" __attribute__((visibility("default")))

namespace stealth {

inline PoolCore::Quick PoolCore::take_from(Magazine& own, void*& block) noexcept {
  Magazine::Place* const top = own.top.load(std::memory_order_relaxed);
  if (top == own.places) [[unlikely]]
    return Quick::not_here;
  Magazine::Place const& place = top[-1];
  own.top.store(top - 1, std::memory_order_relaxed);
  std::atomic<std::uint32_t>& its = *place.word.load(std::memory_order_relaxed);
  static_cast<void>(its.load(std::memory_order_acquire));  // after what its last user did with it
  its.store(own.used_word, std::memory_order_relaxed);
  block = place.block.load(std::memory_order_relaxed);
  return Quick::done;
}

// The block that was taken from here last, out since then, and put by the thread that took it. False: nothing has
// happened.
inline bool PoolCore::give_back_to(Magazine& own, void* block, std::size_t size) noexcept {
  Magazine::Place* const top = own.top.load(std::memory_order_relaxed);
  if (size != own.block_size || Magazine::is_behind_all(top) || top->block.load(std::memory_order_relaxed) != block)
    return false;
  std::atomic<std::uint32_t>& its = *top->word.load(std::memory_order_relaxed);
  if (its.load(std::memory_order_relaxed) != own.biased_word) return false;
  its.store(kFree, std::memory_order_release);
  own.top.store(top + 1, std::memory_order_relaxed);
  return true;
}

// From out to free, if it is out. Nobody but us may change a word that bears our magazine's number.
inline PoolCore::Quick PoolCore::come_back(Magazine const& own, std::atomic<std::uint32_t>& its) noexcept {
  std::uint32_t now = its.load(std::memory_order_relaxed);
  if (now == own.biased_word) [[likely]] {
    its.store(kFree, std::memory_order_release);
    return Quick::done;
  }
  if (now == kUsed)
    return its.compare_exchange_strong(now, kFree, std::memory_order_acq_rel, std::memory_order_relaxed)
               ? Quick::done
               : Quick::invalid;
  return (now & kStates) == kUsed ? Quick::not_here : Quick::invalid;
}

inline PoolCore::Quick PoolCore::give_to(Magazine& own, stealth_pool const* handle, void* block,
                                         std::size_t size) noexcept {
  if (size != own.block_size) [[unlikely]]
    return Quick::invalid;
  Magazine::Place* const top = own.top.load(std::memory_order_relaxed);
  if (Magazine::is_behind_all(top)) [[unlikely]]
    return Quick::not_here;
  PoolCore const& core = core_at(handle);
  std::uint64_t const index = core.index_of(block);
  if (index >= core.reach()) [[unlikely]]
    return Quick::invalid;
  std::atomic<std::uint32_t>& its = core.word(static_cast<std::uint32_t>(index));
  Quick const result = come_back(own, its);
  if (result == Quick::done) [[likely]] {
    top->set(block, &its);
    own.top.store(top + 1, std::memory_order_relaxed);
  }
  return result;
}

namespace {

// After so long nobody wants to know.
constexpr std::uint64_t kForEver = PoolCore::kNoWait - 1;

// The pool was not the last one that this thread has used; or its magazine is of no help.
__attribute__((noinline)) int get_elsewhere(stealth_pool* handle, void** block, std::uint64_t until) noexcept {
  if (block == nullptr) return STEALTH_INVALID_ARGUMENT;
  *block = nullptr;
  PoolCore* const core = core_of(handle);
  if (core == nullptr) return STEALTH_INVALID_HANDLE;
  if (Magazine* const own = core->own_magazine(); own != nullptr && own != t_pool_thread.last && own->enter(handle)) {
    t_pool_thread.last = own;
    auto const result = PoolCore::take_from(*own, *block);
    own->leave();
    if (result == PoolCore::Quick::done) return STEALTH_OK;
  }
  return core->take(handle, Pointers(block, sizeof *block), 1, until);
}

// Into a magazine that has been entered, and is left.
__attribute__((noinline)) int put_here(stealth_pool* handle, void* block, std::size_t size, Magazine& own) noexcept {
  auto const result = PoolCore::give_to(own, handle, block, size);
  own.leave();
  if (result == PoolCore::Quick::done) [[likely]]
    return STEALTH_OK;
  if (result == PoolCore::Quick::invalid) return STEALTH_INVALID_BLOCK;
  PoolCore* const core = core_of(handle);  // another thread may have destroyed it
  return core == nullptr ? STEALTH_INVALID_HANDLE : core->give(handle, block, size);
}

__attribute__((noinline)) int put_elsewhere(stealth_pool* handle, void* block, std::size_t size) noexcept {
  PoolCore* const core = core_of(handle);
  if (core == nullptr) return STEALTH_INVALID_HANDLE;
  Magazine* const own = core->own_magazine();
  if (own == nullptr || own == t_pool_thread.last || !own->enter(handle)) return core->give(handle, block, size);
  t_pool_thread.last = own;
  return put_here(handle, block, size, *own);
}

struct stealth_pool_options const kAllDefaults = {sizeof(struct stealth_pool_options), 0, 0, 0, 0, 0};

// Of a program of another version: what it does not have is 0, and what this library does not know must be.
stealth_error read_options(struct stealth_pool_options const* from, struct stealth_pool_options& into) noexcept {
  if (from == nullptr) {
    into = kAllDefaults;
    return STEALTH_OK;
  }
  if (from->size < offsetof(struct stealth_pool_options, block_size) + sizeof from->block_size)
    return STEALTH_INVALID_ARGUMENT;
  into = {};
  std::memcpy(&into, from, static_cast<std::size_t>(min(from->size, std::uint64_t{sizeof into})));
  auto const* const bytes = reinterpret_cast<unsigned char const*>(from);
  constexpr std::uint64_t kLargestSize = 4096;
  if (from->size > kLargestSize) return STEALTH_INVALID_ARGUMENT;
  for (std::uint64_t at = sizeof into; at < from->size; ++at) {
    if (bytes[at] != 0) return STEALTH_INVALID_OPTIONS;
  }
  return STEALTH_OK;
}

}  // namespace

}  // namespace stealth

using stealth::core_of;
using stealth::Magazine;
using stealth::PoolCore;
using stealth::t_pool_thread;

static inline int get(stealth_pool* pool, void** block, uint64_t until) noexcept {
  Magazine& last = *t_pool_thread.last;
  if (block != nullptr && last.enter(pool)) [[likely]] {
    auto const result = PoolCore::take_from(last, *block);
    last.leave();
    if (result == PoolCore::Quick::done) [[likely]]
      return STEALTH_OK;
  }
  return stealth::get_elsewhere(pool, block, until);
}

STEALTH_API int stealth_pool_get(stealth_pool* pool, void** block) { return get(pool, block, PoolCore::kNoWait); }

STEALTH_API int stealth_pool_put(stealth_pool* pool, void* block, size_t size) {
  Magazine& last = *t_pool_thread.last;
  if (last.enter(pool)) [[likely]] {
    if (!PoolCore::give_back_to(last, block, size)) return stealth::put_here(pool, block, size, last);
    last.leave();
    return STEALTH_OK;
  }
  return stealth::put_elsewhere(pool, block, size);
}

STEALTH_API int stealth_pool_get_until(stealth_pool* pool, uint64_t monotonic_ns, void** block) {
  return get(pool, block, stealth::min(monotonic_ns, stealth::kForEver));
}

STEALTH_API int stealth_pool_get_for(stealth_pool* pool, uint64_t timeout_ns, void** block) {
  std::uint64_t const now = stealth::os::monotonic_ns();
  return stealth_pool_get_until(pool, timeout_ns < stealth::kForEver - now ? now + timeout_ns : stealth::kForEver,
                                block);
}

STEALTH_API int stealth_pool_get_bulk(stealth_pool* pool, void** blocks, size_t count, size_t stride) {
  if ((blocks == nullptr && count != 0) || stride < sizeof *blocks) return STEALTH_INVALID_ARGUMENT;
  stealth::Pointers const out(blocks, stride);
  if (PoolCore* const core = core_of(pool); core != nullptr) return core->take(pool, out, count, PoolCore::kNoWait);
  for (std::size_t n = 0; n < count; ++n) out[n] = nullptr;
  return STEALTH_INVALID_HANDLE;
}

STEALTH_API int stealth_pool_put_bulk(stealth_pool* pool, void* const* blocks, size_t count, size_t stride) {
  PoolCore* const core = core_of(pool);
  if (core == nullptr) return STEALTH_INVALID_HANDLE;
  if ((blocks == nullptr && count != 0) || stride < sizeof *blocks) return STEALTH_INVALID_ARGUMENT;
  return core->give_all(pool, stealth::Pointers(blocks, stride), count);
}

STEALTH_API int stealth_pool_create(uint64_t max_blocks, struct stealth_pool_options const* options,
                                    stealth_pool** pool) {
  if (pool == nullptr) return STEALTH_INVALID_ARGUMENT;
  *pool = nullptr;
  struct stealth_pool_options given;
  stealth_error const error = stealth::read_options(options, given);
  return error == STEALTH_OK ? stealth::create_pool(max_blocks, given, *pool) : error;
}

STEALTH_API int stealth_pool_close(stealth_pool* pool) {
  PoolCore* const core = core_of(pool);
  return core == nullptr ? STEALTH_INVALID_HANDLE : core->close(pool);
}

STEALTH_API int stealth_pool_destroy(stealth_pool* pool) { return stealth::destroy_pool(pool); }

STEALTH_API int stealth_pool_trim(stealth_pool* pool, uint64_t* given_back) {
  std::uint64_t bytes = 0;
  PoolCore* const core = core_of(pool);
  stealth_error const error = core == nullptr ? STEALTH_INVALID_HANDLE : core->trim(pool, bytes);
  if (given_back != nullptr) *given_back = bytes;
  return error;
}

STEALTH_API int stealth_pool_owns(stealth_pool* pool, void const* address, int* owns) {
  if (owns == nullptr) return STEALTH_INVALID_ARGUMENT;
  bool result = false;
  PoolCore* const core = core_of(pool);
  stealth_error const error = core == nullptr ? STEALTH_INVALID_HANDLE : core->owns(pool, address, result);
  *owns = result ? 1 : 0;
  return error;
}

STEALTH_API int stealth_pool_stats(stealth_pool* pool, struct stealth_pool_statistics* stats) {
  constexpr std::size_t kLeast = offsetof(struct stealth_pool_statistics, block_size) + sizeof stats->block_size;
  if (stats == nullptr || stats->size < kLeast) return STEALTH_INVALID_ARGUMENT;
  PoolCore* const core = core_of(pool);
  struct stealth_pool_statistics now = {};
  now.size = stealth::min(stats->size, std::uint64_t{sizeof now});
  stealth_error const error = core == nullptr ? STEALTH_INVALID_HANDLE : core->read(pool, now);
  if (error == STEALTH_OK) std::memcpy(stats, &now, static_cast<std::size_t>(now.size));
  return error;
}
