// A heap: what one thread allocates from. Heaps are never destroyed; when a thread has ended, the next new one takes
// its heap over whole, lists and all.
#pragma once

#include <atomic>
#include <cstdint>

#include "base/mutex.hpp"
#include "engine/slab.hpp"
#include "os/thread_mark.hpp"

namespace stealth {

// A thread's list of free blocks of one class. room == limit - length; it is negative after a refill longer than the
// limit.
struct Bin {
  FreeBlock* head;
  std::int32_t room;
  std::int32_t limit;
};

// Blocks of one foreign slab that this thread has freed and not yet posted.
struct RemoteBatch {
  Slab* slab;  // null: empty
  FreeBlock *head, *tail;
  std::uint32_t count;
};
inline constexpr std::uint32_t kBatches = 16;
inline constexpr std::size_t kBatchBytes =
    2 * kKiB;  // so at most 32 KiB, or kBatches single blocks, stay stranded in a thread
inline constexpr std::uint32_t kBatchBlocks = 64;

struct HeapClass {
  Slab* carving;       // the slab that fresh blocks are cut from, or null
  List<Slab> partial;  // slabs with free blocks
  std::uint32_t slabs;
  bool overflowed;       // the list was full since the last refill: the limit is too small
  std::uint64_t carved;  // blocks, ever
};

// Recently freed spans, kept for the next request of the same length.
struct SpanCache {
  static constexpr std::uint32_t kEntries = 8;
  static constexpr std::uint32_t kMostSlots = 2 * kMiB / kSlot;
  Span* spans[kEntries];
  std::uint32_t count, slots;
};

// How an attempt to get memory ended.
enum class Outcome : std::uint8_t {
  done,
  over_capacity,  // the charge was not allowed
  at_max,         // the class has all the blocks that its max allows
  no_memory,      // the range is used up, or the kernel refuses
  refused,        // waited in vain, and the policy says ENOMEM
};

struct Heap {
  // The hot path: written by the owning thread alone, without the lock.
  std::uint32_t id = 0;
  Bin bins[kClasses] = {};

  // The slow path: under `lock`, which the owner takes and, rarely, whoever trims, forks or counts.
  OwnerLock lock{};
  HeapClass classes[kClasses] = {};
  RemoteBatch batches[kBatches] = {};
  SpanCache span_cache = {};
  std::uint64_t large_calls = 0;
  ThreadAccount account{};
  std::uint32_t flushed_epoch = 0;
  std::int64_t large_blocks = 0;  // as large_pages
  std::uint64_t large_pages = 0;  // in use, allocated here less freed here: only the sum over all heaps means something

  // Slabs of this heap whose `remote` went from empty to not empty.
  alignas(64) std::atomic<Slab*> remote_queue{nullptr};

  os::ThreadMark mark{};
  bool locked_for_fork = false;
  bool collecting = false;    // what comes back now was freed before
  bool lost = false;          // its thread died within the slow path: nobody touches it any more
  Heap* next_heap = nullptr;  // in the registry

  // --- small blocks (small.cpp); the caller holds the lock ---
  // A block, and into the empty bin as many more as come at no further cost.
  [[nodiscard]] Outcome refill(std::uint32_t c, Charge& charge, void*& block) noexcept;
  // A block past the bins: for shared classes.
  [[nodiscard]] Outcome take_one(std::uint32_t c, Charge& charge, void*& block) noexcept;
  // Whether a refill of the class needs no fresh page.
  [[nodiscard]] bool has_free(std::uint32_t c) noexcept;
  // A free block of a somewhat larger class, where that costs no page. Null: there is none.
  [[nodiscard]] void* take_larger(std::uint32_t c, std::size_t alignment) noexcept;
  void push(Slab* slab, FreeBlock* block) noexcept { push_chain(slab, block, block, 1); }
  void push_chain(Slab* slab, FreeBlock* head, FreeBlock* tail, std::uint32_t count) noexcept;
  // The list was full: makes room in it.
  void overflow(std::uint32_t c) noexcept;
  void flush_bin(std::uint32_t c) noexcept;

  // --- remote frees (remote.cpp); the caller holds the lock ---
  void free_remote(Slab* slab, FreeBlock* block, SizeClass const& c) noexcept;
  void post_batches() noexcept;
  void drain() noexcept;

  // --- spans (large.cpp); the caller holds the lock ---
  void flush_spans() noexcept;

  // Everything that can be given back without a look at the bins of a living thread.
  void release_unused(bool with_bins) noexcept;
  [[nodiscard]] bool is_valid() const noexcept;

 private:
  [[nodiscard]] Outcome carve(std::uint32_t c, Charge& charge, FreeBlock*& head, std::uint32_t& count) noexcept;
  void drain_queue() noexcept;
  [[nodiscard]] Slab* new_slab(std::uint32_t c) noexcept;
  void give_back(Slab* slab) noexcept;
  void emptied(Slab* slab) noexcept;
  [[nodiscard]] bool is_kept(Slab const* slab) const noexcept;
  void raise_limit(std::uint32_t c) noexcept;
};

// What a thread has at hand. Kept small: static TLS is scarce for libraries that are loaded late.
struct Thread {
  Heap* heap;  // what the hot path looks at: `own`, or g_no_heap before there is one and while the thread is in the
               // slow path
  Heap* own;
  bool busy;                       // in the slow path, or between fork's handlers
  std::uint8_t unprotected_forks;  // forks under way from a signal handler that interrupted the slow path
  std::uint16_t no_waits;          // forbid_waits() less allow_waits()
  bool watches_locks;              // about_to_lock() is to be called, once
};

// Stands in until a thread has a heap: its lists are empty, and its id matches no slab.
extern constinit Heap g_no_heap;
extern constinit thread_local Thread t_thread;

// The heap that serves the shared classes of all threads.
extern constinit Heap g_shared_heap;

}  // namespace stealth
