// A std::pmr::memory_resource whose memory counts towards a BufferPool's target: what a program builds beside its
// buffers (parsed requests, indices) is held back together with them.
#ifndef STEALTH_BUFFER_PMR_HPP
#define STEALTH_BUFFER_PMR_HPP

#include <cstddef>
#include <memory_resource>
#include <stealth/buffer_pool.hpp>
#include <stealth/pmr.hpp>

namespace stealth {
inline namespace v0 {

// The memory itself comes from upstream. From the target on an allocation waits as the get of a new buffer does; what
// is deallocated wakes those who wait. std::bad_alloc once the pool is closed; deallocating works then, too, and after
// the pool has died. Thread-safe as far as upstream is.
class BufferPoolResource final : public std::pmr::memory_resource {
 public:
  explicit BufferPoolResource(BufferPool const& pool,
                              std::pmr::memory_resource* upstream = std::pmr::get_default_resource()) noexcept
      : pool_(pool.handle()), upstream_(upstream) {}

  [[nodiscard]] std::pmr::memory_resource* upstream_resource() const noexcept { return upstream_; }

 private:
  void* do_allocate(std::size_t bytes, std::size_t alignment) override {
    if (stealth_buffer_pool_count(pool_, bytes) != STEALTH_OK) detail::throw_bad_alloc();
#ifdef __cpp_exceptions
    try {
      return upstream_->allocate(bytes, alignment);
    } catch (...) {
      discount(bytes);
      throw;
    }
#else
    return upstream_->allocate(bytes, alignment);
#endif
  }
  void do_deallocate(void* p, std::size_t bytes, std::size_t alignment) override {
    upstream_->deallocate(p, bytes, alignment);
    discount(bytes);
  }
  [[nodiscard]] bool do_is_equal(std::pmr::memory_resource const& other) const noexcept override {
#ifdef __cpp_rtti
    auto const* const same = dynamic_cast<BufferPoolResource const*>(&other);
    return same != nullptr && pool_ == same->pool_ && *upstream_ == *same->upstream_;
#else
    return this == &other;
#endif
  }
  void discount(std::size_t bytes) const noexcept { static_cast<void>(stealth_buffer_pool_discount(pool_, bytes)); }

  stealth_buffer_pool* pool_;
  std::pmr::memory_resource* upstream_;
};

}  // namespace v0
}  // namespace stealth

#endif
