// Handles of pools: where a stealth_pool* leads, and which of them are still good.
//
// A handle is the address of its PoolCore with a number in the low bits, which the core knows, too, and which is
// another one each time that the core is used anew. Cores lie in a table that is never unmapped, so a handle that is
// not good is found out without touching anything that is not there: a null pointer, one that never was a handle, one
// whose pool has been destroyed.
#pragma once

#include <atomic>
#include <cstdint>

#include "pool/pool_core.hpp"

namespace stealth {

inline constexpr std::size_t kHeadBytes = 1024;
static_assert(sizeof(PoolCore) <= kHeadBytes - 16);

struct PoolTable {
  std::atomic<std::uintptr_t> begin{~std::uintptr_t{0}};
  std::atomic<std::size_t> bytes{0};  // usable
};
extern constinit PoolTable g_pool_table;

// Of a handle that is known to be good.
[[nodiscard]] inline PoolCore& core_at(stealth_pool const* handle) noexcept {
  return *reinterpret_cast<PoolCore*>(reinterpret_cast<std::uintptr_t>(handle) & ~std::uintptr_t{kHeadBytes - 1});
}

// Null: the handle is not good.
[[nodiscard]] inline PoolCore* core_of(stealth_pool const* handle) noexcept {
  auto const address = reinterpret_cast<std::uintptr_t>(handle);
  std::size_t const offset = address - g_pool_table.begin.load(std::memory_order_relaxed);
  if (offset >= g_pool_table.bytes.load(std::memory_order_relaxed)) [[unlikely]]
    return nullptr;
  PoolCore& core = core_at(handle);
  return core.is(handle) ? &core : nullptr;
}

[[nodiscard]] stealth_error create_pool(std::uint64_t max_blocks, struct stealth_pool_options const& options,
                                        stealth_pool*& made) noexcept;
[[nodiscard]] stealth_error destroy_pool(stealth_pool* handle) noexcept;

// Gives back the memory of all pools' free blocks; the bytes.
std::size_t trim_pools() noexcept;

// fork: before the engine's handlers, and after them in parent and child; there the bytes that pools hold.
void pools_fork_prepare() noexcept;
void pools_fork_in_parent() noexcept;
[[nodiscard]] std::size_t pools_fork_in_child() noexcept;

}  // namespace stealth
