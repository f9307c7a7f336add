// An explicit pool: blocks of one size in a Region of their own. What the C API's stealth_pool stands for.
//
// A block is an index. Everything about it outside of it: its word says whether it is out, and the words are the truth;
// depot and magazines only say where to find free ones. So a block that is put twice is found out by a
// look at its word, whoever does it and whenever, and a forked child, or the survivors of a thread that died in the
// middle, find all free blocks again by reading the words (recount()).
//
//   word == kGone             no memory: never given out yet, or trimmed
//   word == kUsed | number    out; taken from the magazine of that number, and to be put back there by its owner, or
//                             under the mutex when that magazine is closed; 0: to be put back by whom you like
//   word == kWiping           put, being overwritten, or one of many that are put together
//   word == kFree | link      free; in a magazine (link == 0), or in the depot, a list by way of the links
//
// A get takes from its thread's magazine; else, under the mutex, from the depot, from the magazines of others, and only
// when no block is free anywhere a fresh one. Therefore whenever a fresh one is given out, all that are in circulation
// are out, and `high_water` is their largest number: it costs nothing while nothing grows.
#pragma once

#include <atomic>
#include <cstddef>
#include <cstdint>

#include "base/mutex.hpp"
#include "base/units.hpp"
#include "engine/outside.hpp"
#include "pool/magazine.hpp"
#include "pool/region.hpp"
#include "pool/traces.hpp"
#include "stealth/pool.h"

namespace stealth {

// Pointers that lie `stride` bytes apart.
class Pointers {
 public:
  Pointers(void* const* first, std::size_t stride) noexcept
      : first_(reinterpret_cast<std::uintptr_t>(first)), stride_(stride) {}
  [[nodiscard]] void*& operator[](std::size_t i) const noexcept {
    return *reinterpret_cast<void**>(first_ + i * stride_);
  }

 private:
  std::uintptr_t first_;
  std::size_t stride_;
};

class PoolCore {
 public:
  static constexpr std::uint32_t kMagazines = 1024;  // threads with a larger number have none
  static constexpr std::uint64_t kMostBlocks = (std::uint64_t{1} << 30) - 2;
  static constexpr std::size_t kMostBytes = std::size_t{1} << 46;

  // --- the hot path (pool_api.cpp) ---
  [[nodiscard]] bool is(stealth_pool const* handle) const noexcept {
    return handle_.load(std::memory_order_relaxed) == reinterpret_cast<std::uintptr_t>(handle);
  }
  [[nodiscard]] stealth_pool const* handle() const noexcept {  // null: there is no pool here at the moment
    return reinterpret_cast<stealth_pool const*>(handle_.load(std::memory_order_acquire));
  }
  // The calling thread's, if it is open for it.
  [[nodiscard]] Magazine* own_magazine() const noexcept {
    auto* const own = reinterpret_cast<Magazine*>(magazines_ + t_pool_thread.offset);
    return own->owner.load(std::memory_order_relaxed) == t_pool_thread.id && own->is_open() ? own : nullptr;
  }
  enum class Quick { done, not_here, invalid };
  [[nodiscard]] static Quick take_from(Magazine& own, void*& block) noexcept;
  [[nodiscard]] static bool give_back_to(Magazine& own, void* block, std::size_t size) noexcept;
  [[nodiscard]] static Quick give_to(Magazine& own, stealth_pool const* handle, void* block, std::size_t size) noexcept;
  // The index of the block that begins at p; reach() or more: none does. Exact division by the stride is multiplying
  // with its odd part's inverse and rotating by the rest; what is no multiple, or lies before the first block, comes
  // out larger than any index.
  [[nodiscard]] std::uint64_t index_of(void const* p) const noexcept {
    std::uint64_t const offset = static_cast<std::uint64_t>(static_cast<char const*>(p) - base_);
    std::uint64_t const product = offset * inverse_;
    return product >> shift_ | product << (-shift_ & 63);
  }
  [[nodiscard]] std::uint32_t reach() const noexcept { return reach_.load(std::memory_order_relaxed); }
  [[nodiscard]] std::size_t block_size() const noexcept { return block_size_; }

  // --- all else; each checks the handle once more behind the mutex ---
  // Blocks for all of `out`, or an error. Until `until` (of os::monotonic_ns()) it waits for one to come back; kNoWait:
  // it does not.
  static constexpr std::uint64_t kNoWait = ~std::uint64_t{0};
  [[nodiscard]] stealth_error take(stealth_pool const* handle, Pointers out, std::size_t count,
                                   std::uint64_t until) noexcept;
  [[nodiscard]] stealth_error give(stealth_pool const* handle, void* block, std::size_t size) noexcept;
  [[nodiscard]] stealth_error give_all(stealth_pool const* handle, Pointers blocks, std::size_t count) noexcept;
  [[nodiscard]] stealth_error trim(stealth_pool const* handle, std::uint64_t& given_back) noexcept;
  [[nodiscard]] stealth_error owns(stealth_pool const* handle, void const* address, bool& owns) noexcept;
  [[nodiscard]] stealth_error read(stealth_pool const* handle, struct stealth_pool_statistics& into) noexcept;
  [[nodiscard]] stealth_error close(stealth_pool const* handle) noexcept;

  // --- life (pool_heads.cpp calls these) ---
  // Of a core that is zero, or was ended. The handle is what all calls from then on must come with.
  [[nodiscard]] stealth_error begin(std::uint64_t max_blocks, struct stealth_pool_options const& options,
                                    std::uintptr_t handle) noexcept;
  [[nodiscard]] stealth_error end(stealth_pool const* handle) noexcept;
  void fork_prepare() noexcept { mutex_.lock(); }
  void fork_in_parent() noexcept { mutex_.unlock(); }
  [[nodiscard]] std::size_t fork_in_child() noexcept;  // the bytes that it holds

 private:
  static constexpr std::uint32_t kGone = 0, kUsed = 1, kFree = 2, kWiping = 3;
  static constexpr std::uint32_t kStateBits = 2, kStates = 3;
  static constexpr std::uint32_t kNone = ~std::uint32_t{0};

  // Neighbours' words lie on different cache lines: fresh blocks go to several threads in turn, which would otherwise
  // write to the same line for ever. One line for each of the first 4096 blocks, then the next word on each, and so on.
  [[nodiscard]] std::atomic<std::uint32_t>& word(std::uint32_t i) const noexcept {
    auto const low = static_cast<std::uint16_t>(i);
    auto const turned = static_cast<std::uint16_t>(low << 4 | low >> 12);
    return words_[(i & ~std::uint32_t{0xFFFF}) | turned];
  }
  [[nodiscard]] static std::size_t word_bytes(std::uint32_t blocks) noexcept {
    constexpr std::size_t kLine = 64;
    return blocks < 4096 ? blocks * kLine : align_up(blocks, 65536) * sizeof(std::uint32_t);
  }
  [[nodiscard]] void* block_at(std::uint32_t i) const noexcept { return base_ + std::size_t{i} * stride_; }

  [[nodiscard]] static Quick come_back(Magazine const& own, std::atomic<std::uint32_t>& its) noexcept;

  // --- magazines (pool_gather.cpp) ---
  [[nodiscard]] Magazine& magazine(std::uint32_t number) const noexcept {
    return reinterpret_cast<Magazine*>(magazines_)[number];
  }
  [[nodiscard]] Magazine* open_own() noexcept;
  [[nodiscard]] bool others_have_some() const noexcept;
  // Which magazines are taken away, and why: because a block is wanted, which is no good time to open them again.
  enum class Why { a_block_wanted, somebody_waits, to_count };
  void gather(Why why) noexcept;
  void close_for_sharing(Magazine& biased) noexcept;
  void wait_until_idle(Magazine& magazine) noexcept;
  void move_to_depot(Magazine& magazine, std::uint32_t blocks) noexcept;
  void settle() noexcept {
    if (must_recount_ && !closed_) [[unlikely]]
      recount();
  }
  void recount() noexcept;
  [[nodiscard]] std::uint64_t free_in_lists() const noexcept;

  // --- taking and giving (pool_take.cpp) ---
  struct Taking;
  enum class Took { all, pool_full, pool_closed, charge_first, no_memory };
  [[nodiscard]] Took take_what_is_there(Taking& taking) noexcept;
  [[nodiscard]] stealth_error try_until(Taking& taking, std::uint64_t until) noexcept;
  void take_back(Taking& taking) noexcept;
  [[nodiscard]] bool sleep(std::uint64_t until, bool for_memory) noexcept;
  void push_depot(std::uint32_t i) noexcept;
  [[nodiscard]] std::uint32_t pop_depot() noexcept;
  void refill(Magazine& own) noexcept;
  void put_into(Magazine& own, std::uint32_t i) noexcept {
    own.places[own.size()].set(block_at(i), &word(i));
    own.resize(own.size() + 1);
  }
  [[nodiscard]] std::uint32_t take_out_of(Magazine& own) noexcept {
    own.resize(own.size() - 1);
    return index_in(own.places[own.size()]);
  }
  [[nodiscard]] std::uint32_t index_in(Magazine::Place const& place) const noexcept {
    return static_cast<std::uint32_t>(index_of(place.block.load(std::memory_order_relaxed)));
  }
  [[nodiscard]] bool come_back_under_mutex(std::uint32_t i, std::uint32_t to) noexcept;
  void give_under_mutex(Magazine* own, std::uint32_t i) noexcept;
  void wake(std::size_t blocks) noexcept;

  // --- memory (pool_memory.cpp) ---
  [[nodiscard]] stealth_error lay_out(std::uint64_t max_blocks, struct stealth_pool_options const& options) noexcept;
  [[nodiscard]] stealth_error preallocate(std::uint64_t blocks) noexcept;
  [[nodiscard]] bool shares_granules() const noexcept { return stride_ % granule_ != 0; }
  [[nodiscard]] std::uint32_t next_fresh() const noexcept;  // kNone: none is left
  [[nodiscard]] std::size_t charge_for(std::uint32_t i) const noexcept;
  [[nodiscard]] bool make(std::uint32_t i) noexcept;
  // Sets (or clears) the marks of the granules in [from, to) bytes; the bytes of those that were not so before.
  std::size_t mark_granules(std::size_t from, std::size_t to, bool charged) noexcept;

  // --- giving it back (pool_release.cpp) ---
  [[nodiscard]] std::size_t charged_within(std::size_t from, std::size_t to) const noexcept;
  [[nodiscard]] bool give_back(std::size_t begin, std::size_t end, std::size_t& bytes) noexcept;
  void give_back_all() noexcept;
  std::size_t trim_run(std::uint32_t from, std::uint32_t to) noexcept;
  void leave_for_a_moment() noexcept;
  std::uint32_t close_under_mutex() noexcept;
  void give_up_memory() noexcept;

  // Read by every call, written when it begins; `reach_` also as it grows.
  std::atomic<std::uintptr_t> handle_{0};  // 0: there is no pool here
  char* base_ = nullptr;
  std::uint64_t inverse_ = 0;
  std::atomic<std::uint32_t>* words_ = nullptr;
  char* magazines_ = nullptr;
  std::size_t block_size_ = 0;
  std::size_t stride_ = 0;               // from one block to the next
  std::atomic<std::uint32_t> reach_{0};  // blocks with a lower index have a word
  std::uint8_t shift_ = 0;
  bool wipes_ = false;
  TraceRate trace_rate_;  // some gets are traced: no magazine is ever open

  // Everything below is guarded by the mutex.
  alignas(64) Mutex mutex_;
  bool closed_ = false;
  bool must_recount_ = false;  // what the lists say cannot be trusted: a thread ended in the midst, or
  bool forked_ = false;        // they are a forked child's
  std::uint32_t max_blocks_ = 0;
  std::size_t alignment_ = 0, granule_ = 0;

  std::uint32_t depot_ = 0;        // the first free block's index + 1; 0: none
  std::uint32_t depot_count_ = 0;  // == the length of that list
  std::uint32_t circulating_ = 0;  // words that are not kGone
  std::uint32_t high_water_ = 0;
  std::uint32_t ready_ = 0;         // blocks in [reach_, ready_) are charged, touched, and were never given out
  std::uint32_t trimmed_ = 0;       // words below reach_ that are kGone
  std::uint32_t trimmed_from_ = 0;  // none of them is below
  std::size_t charged_ = 0;         // bytes

  std::uint32_t waiting_ = 0;                // threads in sleep()
  std::uint32_t wiping_ = 0;                 // threads that overwrite a block without the mutex
  std::uint32_t inside_ = 0;                 // threads in a call that have left the mutex for a while
  std::atomic<std::uint32_t> came_back_{0};  // what they sleep on
  Traces* traces_ = nullptr;                 // null: none are kept
  Region blocks_, all_words_, all_magazines_;
  Region granules_charged_;  // a bit each, where blocks share them
  std::uint32_t attached_count_ = 0;
  std::uint16_t* attached_ = nullptr;  // numbers of the magazines that have ever been used
};

}  // namespace stealth
