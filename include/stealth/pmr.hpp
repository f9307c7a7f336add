// Pools where the standard library expects memory: PoolResource for std::pmr, PoolAllocator for containers with an
// allocator of their own. Each request takes one whole block, however small it is: meant for nodes and buffers of about
// the block size, or below a std::pmr resource that cuts blocks up.
#ifndef STEALTH_PMR_HPP
#define STEALTH_PMR_HPP

#include <cstddef>
#include <cstdlib>
#include <limits>
#include <memory_resource>
#include <new>
#include <stealth/pool.hpp>
#include <type_traits>

namespace stealth {
inline namespace v0 {

namespace detail {

// What both need of a pool. The pool must live longer; where it moves to does not matter.
class BlockSource {
 public:
  explicit BlockSource(Pool const& pool) noexcept
      : pool_(pool.handle()), size_(pool.block_size()), alignment_(static_cast<std::size_t>(pool.stats().alignment)) {}

  [[nodiscard]] bool serves(std::size_t bytes, std::size_t alignment) const noexcept {
    return bytes <= size_ && alignment <= alignment_;
  }
  // Null: the pool is full or closed, or there is no memory.
  [[nodiscard]] void* get() const noexcept {
    void* block = nullptr;
    return stealth_pool_get(pool_, &block) == STEALTH_OK ? block : nullptr;
  }
  // False: it is none of the pool's. What a closed pool gave has gone with it.
  [[nodiscard]] bool put(void* block) const noexcept {
    int const error = stealth_pool_put(pool_, block, size_);
    return error != STEALTH_INVALID_BLOCK && error != STEALTH_INVALID_HANDLE;
  }
  [[nodiscard]] bool operator==(BlockSource const& other) const noexcept { return pool_ == other.pool_; }

 private:
  stealth_pool* pool_;
  std::size_t size_, alignment_;
};

[[noreturn]] inline void throw_bad_alloc() {
#ifdef __cpp_exceptions
  throw std::bad_alloc();
#else
  std::abort();
#endif
}

}  // namespace detail

// What a PoolResource does when its pool has no block left.
enum class WhenFull {
  fail,          // std::bad_alloc: the pool's max_blocks is a limit
  use_upstream,  // the request goes upstream; then all must be back before the pool is closed, since what comes back
                 // later is taken for a block, which went with the pool
};

// Requests that fit into a block of the pool get one; larger ones, and such of larger alignment, go upstream.
// Thread-safe as far as upstream is. The pool must outlive it, and what was allocated through it.
class PoolResource final : public std::pmr::memory_resource {
 public:
  explicit PoolResource(Pool const& pool, std::pmr::memory_resource* upstream = std::pmr::get_default_resource(),
                        WhenFull when_full = WhenFull::fail) noexcept
      : blocks_(pool), upstream_(upstream), when_full_(when_full) {}

  [[nodiscard]] std::pmr::memory_resource* upstream_resource() const noexcept { return upstream_; }

 private:
  void* do_allocate(std::size_t bytes, std::size_t alignment) override {
    if (!blocks_.serves(bytes, alignment)) return upstream_->allocate(bytes, alignment);
    if (void* const block = blocks_.get()) return block;
    if (when_full_ == WhenFull::fail) detail::throw_bad_alloc();
    return upstream_->allocate(bytes, alignment);
  }
  void do_deallocate(void* p, std::size_t bytes, std::size_t alignment) override {
    // Where a full pool is an error it has given all that it serves; what it does not take came back before.
    if (blocks_.serves(bytes, alignment) && (blocks_.put(p) || when_full_ == WhenFull::fail)) return;
    upstream_->deallocate(p, bytes, alignment);
  }
  [[nodiscard]] bool do_is_equal(std::pmr::memory_resource const& other) const noexcept override {
#ifdef __cpp_rtti
    auto const* const same = dynamic_cast<PoolResource const*>(&other);
    return same != nullptr && blocks_ == same->blocks_ && when_full_ == same->when_full_ &&
           *upstream_ == *same->upstream_;
#else
    return this == &other;
#endif
  }

  detail::BlockSource blocks_;
  std::pmr::memory_resource* upstream_;
  WhenFull when_full_;
};

// For containers that take an allocator: std::list<int, stealth::PoolAllocator<int>>
// list{stealth::PoolAllocator<int>(pool)}. What fits into a block is a block; larger arrays come from operator new.
// std::bad_alloc where the pool is full or closed or there is no memory, std::bad_array_new_length where the size
// cannot be told. Thread-safe. The pool must outlive it, and what was allocated through it.
template <class T>
class PoolAllocator {
 public:
  using value_type = T;
  using propagate_on_container_copy_assignment = std::true_type;
  using propagate_on_container_move_assignment = std::true_type;
  using propagate_on_container_swap = std::true_type;
  using is_always_equal = std::false_type;

  explicit PoolAllocator(Pool const& pool) noexcept : blocks_(pool) {}
  template <class U>
  PoolAllocator(PoolAllocator<U> const& other) noexcept : blocks_(other.blocks_) {}

  [[nodiscard]] T* allocate(std::size_t count) {
    if (count > std::numeric_limits<std::size_t>::max() / sizeof(T)) throw_bad_length();
    std::size_t const bytes = count * sizeof(T);
    if (!blocks_.serves(bytes, alignof(T))) return static_cast<T*>(::operator new(bytes, std::align_val_t(alignof(T))));
    void* const block = blocks_.get();
    if (block == nullptr) detail::throw_bad_alloc();
    return static_cast<T*>(block);
  }
  void deallocate(T* p, std::size_t count) noexcept {
    if (!blocks_.serves(count * sizeof(T), alignof(T))) return ::operator delete(p, std::align_val_t(alignof(T)));
    static_cast<void>(blocks_.put(p));
  }

  template <class U>
  [[nodiscard]] bool operator==(PoolAllocator<U> const& other) const noexcept {
    return blocks_ == other.blocks_;
  }

 private:
  template <class U>
  friend class PoolAllocator;
  [[noreturn]] static void throw_bad_length() {
#ifdef __cpp_exceptions
    throw std::bad_array_new_length();
#else
    std::abort();
#endif
  }

  detail::BlockSource blocks_;
};

}  // namespace v0
}  // namespace stealth

#endif
