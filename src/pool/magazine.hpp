// A magazine: free blocks of one pool that one thread keeps at hand, taken and filled by it without a lock and without
// an atomic read-modify-write.
//
// Others get at it all the same, because a pool is full only when no block is free anywhere. The protocol is that of a
// biased lock: the owner says "busy", then looks whether the magazine is still its own; who wants to take it away
// (under the pool's mutex) writes that it is not, has every thread of the process pass a memory barrier
// (membarrier(2)), and waits until the owner is not busy. So the owner needs no barrier, and the price is paid by the
// one who comes rarely. Where the kernel has no such call, no magazine is ever opened, and everything goes by the
// mutex.
#pragma once

#include <atomic>
#include <cstddef>
#include <cstdint>

#include "stealth/pool.h"

namespace stealth {

extern constinit std::atomic<std::uint32_t> g_word_of_no_block;

struct alignas(1024) Magazine {
  static constexpr std::uint32_t kBlocks = 60;
  static constexpr std::uint32_t kNoWord = ~std::uint32_t{0};       // no block's word ever
  static constexpr std::uintptr_t kClosed = 0x5afe'c105'ed00'0001;  // no address, and so no handle
  static constexpr std::int32_t kNobody = 0;

  // A place for a block: where it begins, and its word (PoolCore::word). A place keeps what was last in it. A block
  // that comes back to where it was taken from, as most do, is known by its address, and nothing has to be computed.
  //
  // Atomic for the sake of a thread that takes over the number of one that has ended, and that nothing orders after it;
  // what was written into a block is ordered by the block's own word.
  struct Place {
    std::atomic<void*> block{nullptr};
    std::atomic<std::atomic<std::uint32_t>*> word{nullptr};

    void set(void* to_block, std::atomic<std::uint32_t>* to_word) noexcept {
      block.store(to_block, std::memory_order_relaxed);
      word.store(to_word, std::memory_order_relaxed);
    }
    void set(Place const& from) noexcept {
      set(from.block.load(std::memory_order_relaxed), from.word.load(std::memory_order_relaxed));
    }
  };

  // --- the owner, between enter() and leave(); others under the pool's mutex, once it is closed and not busy ---
  // The pool that it is open for. Cores' magazines are never unmapped, so a thread may look at one of a pool that is
  // gone. Written under the pool's mutex.
  std::atomic<std::uintptr_t> pool{0};
  std::atomic<Place*> top{places};  // behind the last block
  std::size_t block_size = 0;
  std::atomic<std::uint32_t> busy{0};
  // What the word of a block says that was taken from here. Either the number of this magazine is in it: then the owner
  // alone puts the block back without a locked instruction, and whoever else does has to close the magazine first. Or
  // it is not: then all who put it do so by compare-and-swap.
  std::uint32_t used_word = 0;
  std::uint32_t biased_word = kNoWord;  // used_word, where the number is in it

  // --- under the pool's mutex ---
  std::atomic<std::int32_t> owner{kNobody};  // the thread that it is, or was last, open for
  std::uint32_t taken_ms = 0;                // os::coarse_ms() when it was taken away
  std::uint32_t shared_ms = 0;      // and when another thread last put a block whose word bore its number; 0: never
  std::uint16_t calls_to_wait = 0;  // so many slow calls of its thread until it is opened again
  std::uint8_t level = 0;           // how often it was taken away lately: log2 of the next calls_to_wait
  bool attached = false;            // stands in PoolCore::attached_
  bool being_taken = false;

  // Up to `top` they hold free blocks, the most recently used one last.
  alignas(16) Place places[kBlocks] = {};

  [[nodiscard]] bool enter(stealth_pool const* handle) noexcept {
    busy.store(1, std::memory_order_relaxed);
    std::atomic_signal_fence(std::memory_order_seq_cst);  // the other side makes a real one of it
    if (pool.load(std::memory_order_acquire) == reinterpret_cast<std::uintptr_t>(handle)) [[likely]]
      return true;
    leave();
    return false;
  }
  void leave() noexcept { busy.store(0, std::memory_order_release); }

  [[nodiscard]] bool is_open() const noexcept {
    std::uintptr_t const open_for = pool.load(std::memory_order_relaxed);
    return open_for != kClosed && open_for != 0;
  }
  [[nodiscard]] std::uint32_t size() const noexcept {
    return static_cast<std::uint32_t>(top.load(std::memory_order_relaxed) - places);
  }
  // `places` end where the magazine does.
  [[nodiscard]] static bool is_behind_all(Place const* at) noexcept {
    return (reinterpret_cast<std::uintptr_t>(at) & (alignof(Magazine) - 1)) == 0;
  }
  [[nodiscard]] bool is_empty() const noexcept { return top.load(std::memory_order_relaxed) == places; }
  void resize(std::uint32_t to) noexcept { top.store(places + to, std::memory_order_relaxed); }
  // Empty, and places that match no block. In memory that is zero, too.
  void clear() noexcept {
    for (Place& place : places) place.set(nullptr, &g_word_of_no_block);
    resize(0);
  }
};
static_assert(sizeof(Magazine) == 1024 && offsetof(Magazine, places) + sizeof Magazine::places == sizeof(Magazine));

// What a thread knows of itself in pools.
struct PoolThread {
  Magazine* last;        // its own, of the pool that it used last; or one that is never open
  std::uint32_t offset;  // of its magazine among a pool's; 0: it has none, or has not asked yet
  std::int32_t id;       // the kernel's; 0: it has not asked yet
};
extern constinit thread_local PoolThread t_pool_thread;
void forget_pool_thread() noexcept;  // in a forked child: its id is another one

}  // namespace stealth
