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

static_assert(sizeof(Bin) == 1 << kBinShift);

// Blocks of one foreign slab that this thread has freed. As a list: the thread pushes without the lock, and nobody else
// comes near as long as it lives.
struct RemoteBatch {
  char* start;  // of the slab's memory; null: empty
  FreeBlock *head, *tail;
  std::uint32_t room;   // for so many more
  std::uint32_t limit;  // blocks of the slab that were carved when it was last asked: the owner carves on

  void push(FreeBlock* block) noexcept {
    block->next = head;
    head = block;
    --room;
  }
  [[nodiscard]] bool is_valid() const;
};
inline constexpr std::uint32_t kBatches = 32;

// What has left its batch: chains of blocks of one owner's slabs, whichever, until it is worth a compare-and-swap. As
// the batches.
struct Outgoing {
  std::uint32_t id;  // the owner's, unless it is empty
  std::uint32_t chains, bytes;
  Heap* owner;
  RemoteChain *first, *last;

  [[nodiscard]] bool is_valid() const;
};
inline constexpr std::uint32_t kOutgoing = 8, kOutgoingChains = 64;
// Of all of them, or a single block. With the batches that makes 80 KiB that may be stranded in a thread.
inline constexpr std::uint32_t kOutgoingBytes = 16 * kKiB;

struct HeapClass {
  Slab* carving;       // the slab that fresh blocks are cut from, or null
  List<Slab> partial;  // slabs with free blocks
  List<Slab> hollow;   // slabs all of whose free blocks are hollow
  std::uint32_t slabs;
  std::uint32_t overflowed;  // blocks that the full list has given back since the last refill
  std::uint64_t carved;      // blocks, ever
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
  Bin bins[kLists + kClasses] = {};  // the classes', those of spans, and the classes' while sampling (sampling.hpp)
  ArenaView arena = {};
  std::uint32_t id = 0;

  // A list by what g_bin_of and a slab's word say.
  [[nodiscard]] Bin& bin_at(std::size_t offset) noexcept {
    return *reinterpret_cast<Bin*>(reinterpret_cast<char*>(bins) + offset);
  }

  // Blocks of a class that have been counted; its limit is 0.
  [[nodiscard]] Bin& counted(std::uint32_t c) noexcept { return bins[kLists + c]; }

  // The slow path: under `lock`, which the owner takes and, rarely, whoever trims, forks or counts.
  OwnerLock lock{};
  HeapClass classes[kClasses] = {};
  RemoteBatch batches[kBatches] = {};
  Outgoing outgoing[kOutgoing] = {};
  std::uint32_t outgoing_bytes = 0;         // == the sum of theirs
  std::uint32_t overflowed_span_lists = 0;  // as HeapClass::overflowed, a bit each
  std::uint64_t large_calls = 0;
  ThreadAccount account{};
  std::uint32_t flushed_epoch = 0;
  std::uint64_t slab_bytes = 0;     // == of all its slabs
  std::uint64_t chained_bytes = 0;  // == of free blocks in its slabs' chains
  std::uint64_t fresh_bytes = 0;    // of slabs that it has taken since it last looked for pages to give back
  std::uint64_t aged_bytes = 0;     // chained_bytes, when the keeper last looked
  std::uint8_t used_tick = 0;       // of g_tick, when its thread last needed more than its lists
  bool is_idle = false;             // has been for a while: threads were asked to empty their lists
  std::int64_t large_blocks = 0;    // as large_pages
  std::uint64_t large_pages = 0;  // in use, allocated here less freed here: only the sum over all heaps means something

  // Chains of this heap's blocks that others have posted.
  alignas(64) std::atomic<FreeBlock*> remote_queue{nullptr};

  os::ThreadMark mark{};
  bool locked_for_fork = false;
  std::int64_t until_sample = 0;  // its thread's alone, as the six that follow (sampling.cpp)
  std::uint32_t sampling_epoch = 0, sampling_random = 0;
  std::uint64_t samples_due = 0;  // a bit for each class: the block after those that are counted is a sample
  std::uint64_t guards_due = 0;   // of those: it is the guard's
  bool next_is_guards = false;    // the sample at the distance's end
  std::uint8_t slow_calls = 0;    // its thread's, as far as they look for a window (windows.cpp)
  bool collecting = false;        // what comes back now was freed before
  bool lost = false;              // its thread died within the slow path: nobody touches it any more
  std::uint8_t ended_ticks = 0;   // how often the keeper has found its thread ended
  void* guarded = nullptr;        // what src/guard keeps for it
  std::atomic<std::int64_t> guarded_bytes{0};  // as large_pages
  Heap* next_heap = nullptr;                   // in the registry

  // --- small blocks (small.cpp, lists.cpp); the caller holds the lock ---
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
  // What was counted and not handed out goes back to the list.
  void uncount(std::uint32_t c) noexcept;
  void raise_limit(Bin& bin, std::uint32_t most, std::size_t block) noexcept;

  // --- pages inside of slabs (hollow.cpp); the caller holds the lock ---
  // Gives back the pages of half-empty slabs in which no block is in use: of at most `most` slabs, and of those only to
  // which none has come back for `ticks`; how many it were.
  std::uint32_t hollow_out(std::uint32_t ticks, std::uint32_t most) noexcept;
  // The same, if free blocks have come to be much of what the heap holds and it goes on growing.
  void hollow_out_when_growing() noexcept;

  // --- remote frees (remote.cpp); by the owner, without the lock ---
  [[nodiscard]] RemoteBatch& batch_of(std::size_t slot, SizeClass const& c) noexcept {
    return batches[(slot >> __builtin_ctz(c.slots)) % kBatches];
  }
  // Into a batch that is begun with it, or knew less of its slab. False: something is to be posted first, or is wrong,
  // and nothing has happened.
  [[nodiscard]] bool begin_batch(RemoteBatch& batch, std::size_t slot, FreeBlock* block, std::size_t within,
                                 SizeClass const& c) noexcept;
  // The caller holds the lock.
  void free_remote(Slab* slab, FreeBlock* block, SizeClass const& c) noexcept;
  void post_batches() noexcept;
  void drain() noexcept;

  // --- spans (large.cpp); the caller holds the lock ---
  void flush_span_lists() noexcept;

  // Everything that can be given back without a look at the bins of a living thread.
  void release_unused(bool with_bins) noexcept;
  [[nodiscard]] bool is_valid() const noexcept;

 private:
  [[nodiscard]] bool are_batches_valid() const noexcept;
  [[nodiscard]] bool dispatch(RemoteBatch& batch) noexcept;
  void dispatch_anyhow(RemoteBatch& batch) noexcept;
  void post(Outgoing& out) noexcept;
  void post_all() noexcept;
  [[nodiscard]] Outcome carve(std::uint32_t c, Charge& charge, FreeBlock*& head, std::uint32_t& count) noexcept;
  void drain_queue() noexcept;
  [[nodiscard]] Slab* new_slab(std::uint32_t c) noexcept;
  void give_back(Slab* slab) noexcept;
  struct Found {
    Slab* slab = nullptr;
    std::uintptr_t start = 0;  // of its memory
  };
  // What the map says of its slabs of a class.
  [[nodiscard]] std::uint32_t word_of(std::uint32_t c) const noexcept { return id | c << kBinShift; }
  [[nodiscard]] static Found find(FreeBlock const* link, SizeClass const& c, std::uint32_t word) noexcept;
  [[nodiscard]] Found find_head(std::uint32_t c) const noexcept;
  std::uint32_t push_back(std::uint32_t c, std::uint32_t most) noexcept;
  void emptied(Slab* slab) noexcept;
  void unlist(Slab* slab) noexcept;
  [[nodiscard]] std::uint32_t hollow_out(Slab* slab, std::uint64_t units) noexcept;
  [[nodiscard]] Outcome fill(Slab* slab, Charge& charge, FreeBlock*& head, std::uint32_t& count) noexcept;
  [[nodiscard]] bool is_kept(Slab const* slab) const noexcept;
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
  std::uint16_t keeper;            // of a keeper: which one it is
};

// Counts on by whoever ages memory (age_heaps()): what was touched so many ticks ago is no longer in use.
extern constinit std::atomic<std::uint8_t> g_tick;
[[nodiscard]] inline bool ticks_have_passed(std::uint8_t since, std::uint32_t ticks) noexcept {
  return static_cast<std::uint8_t>(g_tick.load(std::memory_order_relaxed) - since) >= ticks;
}

// Stands in until a thread has a heap: its lists are empty, and its id matches no slab.
extern constinit Heap g_no_heap;
extern constinit thread_local Thread t_thread;

// The heap that serves the shared classes of all threads.
extern constinit Heap g_shared_heap;

}  // namespace stealth
