// A table of things that handles stand for. A handle is no address but a place in the table and a number that is
// another one each time that the place is used anew; the table is never unmapped. So a handle that is not good (null,
// made up, given back long ago) is found out without touching anything that is not there, and never taken for a later
// one.
#pragma once

#include <atomic>
#include <cstddef>
#include <cstdint>
#include <new>

#include "base/mutex.hpp"
#include "base/units.hpp"
#include "pool/region.hpp"
#include "stealth/error.h"

namespace stealth {

// What stands at a place that is nobody's, and is no handle.
inline constexpr std::uintptr_t kNoHandle = ~std::uintptr_t{0};

// What a T has for the table.
struct Slot {
  std::uint64_t generation = 0;
  std::uint32_t next_free = 0;
};

// T has a member `slot`, begins its life when its place is first used, and never ends it.
template <class T, std::uint32_t kMost>
class SlotTable {
  static_assert(is_power_of_two(kMost) && is_power_of_two(sizeof(T)));

 public:
  // Null: nothing has ever been there. What is there knows whether the handle is its own.
  [[nodiscard]] T* at(std::uintptr_t handle) const noexcept {
    std::size_t const offset = (handle & (kMost - 1)) * sizeof(T);
    if (offset >= bytes_.load(std::memory_order_acquire)) [[unlikely]]
      return nullptr;
    return reinterpret_cast<T*>(begin_ + offset);
  }

  // Null: STEALTH_TOO_MANY, or STEALTH_NOT_ENOUGH_MEMORY.
  [[nodiscard]] T* take(stealth_error& error) noexcept {
    Hold hold(mutex_);
    if (free_ != kNone) {
      T& taken = place(free_);
      free_ = taken.slot.next_free;
      return &taken;
    }
    error = made_ == kMost ? STEALTH_TOO_MANY : STEALTH_NOT_ENOUGH_MEMORY;
    return made_ == kMost ? nullptr : make();
  }
  void give_back(T& what) noexcept {
    Hold hold(mutex_);
    what.slot.next_free = free_;
    free_ = index_of(what);
  }
  // A new handle for it; the caller sees to it that one at a time asks.
  [[nodiscard]] std::uintptr_t new_handle(T& of) const noexcept {
    return static_cast<std::uintptr_t>(++of.slot.generation * kMost + index_of(of));
  }

  template <class Action>
  void for_each(Action action) noexcept {
    for (std::uint32_t i = 0; i < made_; ++i) action(place(i));
  }
  // The same without the mutex for the action; places stay where they are.
  template <class Action>
  void for_each_now(Action action) noexcept {
    std::uint32_t const made = static_cast<std::uint32_t>(bytes_.load(std::memory_order_acquire) / sizeof(T));
    for (std::uint32_t i = 0; i < made; ++i) action(place(i));
  }
  [[nodiscard]] Mutex& mutex() noexcept { return mutex_; }

 private:
  static constexpr std::uint32_t kNone = ~std::uint32_t{0};
  [[nodiscard]] T& place(std::uint32_t i) const noexcept {
    return *reinterpret_cast<T*>(begin_ + std::size_t{i} * sizeof(T));
  }
  [[nodiscard]] std::uint32_t index_of(T const& what) const noexcept {
    return static_cast<std::uint32_t>(static_cast<std::size_t>(reinterpret_cast<char const*>(&what) - begin_) /
                                      sizeof(T));
  }
  [[nodiscard]] T* make() noexcept {
    if (region_.data() == nullptr) {
      if (region_.reserve(kMost * sizeof(T), sizeof(T), {}) != RegionError::none) return nullptr;
      begin_ = region_.data();
    }
    if (!region_.commit((made_ + std::size_t{1}) * sizeof(T))) return nullptr;
    T* const made = new (&place(made_)) T;
    ++made_;
    bytes_.store(made_ * sizeof(T), std::memory_order_release);
    return made;
  }

  std::atomic<std::size_t> bytes_{0};  // of those that are made
  char* begin_ = nullptr;
  Mutex mutex_;
  Region region_;
  std::uint32_t made_ = 0;
  std::uint32_t free_ = kNone;
};

}  // namespace stealth
