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
#include <cstdint>

namespace stealth {

struct Magazine {
  static constexpr std::uint32_t kBlocks = 30;
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
  std::atomic<std::uint32_t> busy{0};
  std::atomic<std::int32_t> owner{kNobody};  // the thread that it is open for; written under the pool's mutex
  std::atomic<std::uint32_t> count{0};

  // --- under the pool's mutex ---
  std::int32_t taken_from;      // whose it was, while it is being taken away; kNobody: it is not
  std::uint32_t taken_ms;       // os::coarse_ms() when it was taken away
  std::uint16_t calls_to_wait;  // so many slow calls of its thread until it is opened again
  std::uint8_t level;           // how often it was taken away lately: log2 of the next calls_to_wait
  bool attached;                // stands in PoolCore::attached_

  // [0, count) hold free blocks, the most recently used one last.
  alignas(16) Place places[kBlocks];

  [[nodiscard]] bool enter(std::int32_t thread) noexcept {
    busy.store(1, std::memory_order_relaxed);
    std::atomic_signal_fence(std::memory_order_seq_cst);  // the other side makes a real one of it
    if (owner.load(std::memory_order_acquire) == thread) [[likely]]
      return true;
    leave();
    return false;
  }
  void leave() noexcept { busy.store(0, std::memory_order_release); }

  [[nodiscard]] bool is_open() const noexcept { return owner.load(std::memory_order_relaxed) != kNobody; }
  [[nodiscard]] std::uint32_t size() const noexcept { return count.load(std::memory_order_relaxed); }
  void resize(std::uint32_t to) noexcept { count.store(to, std::memory_order_relaxed); }
};
static_assert(sizeof(Magazine) == 512);

// What a thread knows of itself in pools. Zero is a thread that has not been here yet: its magazines are the first of
// each pool, which is nobody's.
struct PoolThread {
  std::uint32_t offset;  // of its magazine among a pool's
  std::int32_t id;       // the kernel's: tells it from the thread that had the same number before it
};
extern constinit thread_local PoolThread t_pool_thread;

}  // namespace stealth
