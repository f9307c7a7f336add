// The reserved address range: cut into slots of 16 KiB, handed out as runs of slots, and the map that says whose a slot
// is.
//
// One PROT_NONE reservation holds three tables and the slots themselves; all four become usable from their front on, in
// steps, so that "address - base < committed" is the test of ownership. Each step belongs to a zone: slabs of small
// blocks and large spans are kept apart, because they age differently. Free runs are best fit with boundary tags, stay
// dirty for a while, and are purged by age. Every page that was touched is charged to the budget until it is purged;
// one bit a page says which.
#pragma once

#include <atomic>
#include <cstdint>

#include "base/list.hpp"
#include "base/mutex.hpp"
#include "base/units.hpp"
#include "capacity/budget.hpp"

namespace stealth {

inline constexpr std::size_t kSlotShift = 14;
inline constexpr std::size_t kSlot = std::size_t{1} << kSlotShift;
inline constexpr std::uint32_t kPagesPerSlot = kSlot / kPage;
// The longest run whose slot number, not only its address, is to be aligned to its length.
inline constexpr std::size_t kMostSlabBytes = 512 * kKiB;

enum class Zone : std::uint8_t { slabs, spans };
enum class RunState : std::uint8_t { none, free, used };
enum class HugePages : std::uint8_t { never, automatic, always };
// What the kernel has been told about a huge page's addresses.
enum class Advice : std::uint8_t { none, wanted, refused };

// What the arena knows of a run. It stands at the run's first slot; `slots`, `state` and `zone` also at its last one
// (the boundary tags). Whoever holds a used run may use the link, and derive from Run to keep more (kRunStride bytes in
// all).
struct Run : ListNode {
  std::uint32_t slots;
  std::uint32_t freed_ms;     // os::coarse_ms() when it became free
  std::uint32_t dirty_pages;  // of a free run: == the number of its slots' charged pages
  RunState state;
  Zone zone;
  bool moved;                  // pages came by mremap: the run is a mapping of its own until it is mapped afresh
  std::atomic<Advice> advice;  // not of the run, but of the huge page that begins at this slot, if one does
};
inline constexpr std::size_t kRunStride = 128;

enum class Moved : std::uint8_t {
  pages,
  not_at_all,   // copy instead
  target_lost,  // the same, and the target is gone for good: its memory may be unmapped
};

class Arena;

// What a free asks of the arena: which slot, whose. Each heap has one, so that the hot path looks nowhere else; it
// falls behind when more is committed, until the slow path has it follow.
struct ArenaView {
  std::uintptr_t base = 0;
  std::size_t committed = 0;  // bytes from base on that are usable: whole slots
  std::atomic<std::uint32_t>* map = nullptr;

  [[nodiscard]] std::size_t offset_of(void const* p) const { return reinterpret_cast<std::uintptr_t>(p) - base; }
  [[nodiscard]] bool contains(std::size_t offset) const { return offset < committed; }
  [[nodiscard]] std::uint32_t owner_word(std::size_t slot) const { return map[slot].load(std::memory_order_relaxed); }
  void set_owner(std::size_t slot, std::uint32_t word) const { map[slot].store(word, std::memory_order_relaxed); }
  // A signal handler may look at any moment.
  inline void follow(Arena const& arena);
};

class Arena {
 public:
  constexpr explicit Arena(Budget& budget) : budget_(budget) {}

  // Reserves `bytes` or, halving, what can be had (at least 1 MiB). False: nothing can be had.
  bool reserve(std::size_t bytes) noexcept;
  void set_purge_delay(std::uint32_t ms) noexcept {
    Hold hold(mutex_);
    purge_delay_ms_ = ms;
  }
  void set_dumpable(bool dumpable) noexcept { dumpable_ = dumpable; }
  // Before the first run is handed out.
  void set_huge_pages(HugePages when) noexcept { huge_pages_ = when; }
  // Gives back what is reserved beyond `most` bytes and not yet committed.
  void limit_reservation(std::size_t most) noexcept;

  // --- which slot, whose ---
  [[nodiscard]] std::size_t offset_of(void const* p) const { return reinterpret_cast<std::uintptr_t>(p) - base_; }
  [[nodiscard]] bool contains(std::size_t offset) const { return offset < committed_.load(std::memory_order_relaxed); }
  // Whether an address lies in the tables, which stand in front of the slots; or anywhere in what is reserved.
  [[nodiscard]] bool is_table(void const* p) const noexcept {
    auto const* const at = static_cast<char const*>(p);
    return reinterpret_cast<std::uintptr_t>(at) < base_ && at >= map_table_.base &&
           (map_table_.holds(at) || charged_table_.holds(at) || run_table_.holds(at));
  }
  [[nodiscard]] bool is_reserved(void const* p) const noexcept { return offset_of(p) < reserved_ || is_table(p); }
  [[nodiscard]] std::uint32_t owner_word(std::size_t slot) const { return map_[slot].load(std::memory_order_relaxed); }

  // --- runs ---
  // Null when the range is used up or the kernel refuses. `align` (in slots) is a power of two.
  [[nodiscard]] Run* allocate(Zone zone, std::uint32_t slots, std::uint32_t align) noexcept;
  void free(Run* run) noexcept;
  [[nodiscard]] bool extend(Run* run, std::uint32_t slots) noexcept;  // in place
  void shrink(Run* run, std::uint32_t slots) noexcept;
  // Moves the first `slots` slots' pages from one run to another.
  [[nodiscard]] Moved move(Run* from, Run* to, std::uint32_t slots) noexcept;
  // Writes the map's words of a run (1 word for a span: only its start is a valid pointer).
  void set_owner(Run const* run, std::uint32_t words, std::uint32_t word) noexcept;

  // Gives the pages from the run's slot `slot` on back: a run may be longer than what is used of it, to grow into.
  void purge_from(Run const* run, std::uint32_t slot) noexcept;

  // Clears a span's word, and gives what it was; 0: it was clear already.
  [[nodiscard]] std::uint32_t disown(Run const* span) noexcept {
    return map_[slot_of(span)].exchange(0, std::memory_order_acq_rel);
  }

  // Charges those of the pages [from, to) that are not. Called by the run's holder. False: the charge was refused, and
  // nothing has changed.
  [[nodiscard]] bool touch(Run const* run, std::uint32_t from, std::uint32_t to, Charge& charge) noexcept;
  // Gives the pages [from, to) back to the kernel. Called by the run's holder. False: they are as they were.
  [[nodiscard]] bool purge_pages(Run const* run, std::uint32_t from, std::uint32_t to) noexcept;
  // Zeroes what may be dirty in the first `pages` pages (before touch).
  void zero_dirty(Run const* run, std::uint32_t pages) noexcept;

  // What a span looks like when it comes back tells whether huge pages are worth asking for (huge.cpp).
  void learn_from(Run const* span, std::uint32_t pages) noexcept;

  // Gives the largest free runs back to the kernel until at most `keep` bytes of free memory are dirty.
  void purge_down_to(std::size_t keep) noexcept;
  // Gives free pages that are older than `age_ms` back to the kernel; returns the bytes.
  std::size_t purge(std::uint32_t age_ms) noexcept;
  // The same for what is older than the purge delay, in steps of a fraction of a millisecond, between which others come
  // in. For one caller, who calls until there is no more; the first step of each round says so.
  struct Step {
    std::size_t bytes = 0;
    bool more = false;
    bool refused = false;  // the kernel did not take all that was offered (locked memory)
  };
  [[nodiscard]] Step purge_step(bool first) noexcept;

  [[nodiscard]] std::uint32_t slot_of(Run const* run) const {
    return static_cast<std::uint32_t>((reinterpret_cast<char const*>(run) - runs_) /
                                      static_cast<std::ptrdiff_t>(kRunStride));
  }
  [[nodiscard]] Run* run_at(std::size_t slot) const { return reinterpret_cast<Run*>(runs_ + slot * kRunStride); }
  [[nodiscard]] char* memory_of(Run const* run) const { return memory_at(slot_of(run)); }
  [[nodiscard]] std::size_t free_dirty_bytes() const noexcept {
    return free_dirty_pages_.load(std::memory_order_relaxed) * kPage;
  }
  // Given back to the kernel, ever.
  [[nodiscard]] std::uint64_t purged_bytes() const noexcept { return purged_bytes_.load(std::memory_order_relaxed); }
  [[nodiscard]] bool worth_purging() const noexcept { return free_dirty_bytes() >= kMiB; }
  [[nodiscard]] std::uint32_t purge_delay_ms() noexcept {
    Hold hold(mutex_);
    return purge_delay_ms_;
  }
  [[nodiscard]] std::size_t committed_bytes() const noexcept { return committed_.load(std::memory_order_relaxed); }
  [[nodiscard]] std::size_t reserved_bytes() const noexcept { return reserved_; }
  // The reservation with its tables, as the kernel counts it against RLIMIT_AS.
  [[nodiscard]] std::size_t mapped_bytes() const noexcept;

  // The run that a slot belongs to, found by walking all of them: for reports.
  [[nodiscard]] Run const* run_holding(std::size_t slot) const noexcept;
  Mutex& mutex() { return mutex_; }  // for fork handlers only
  // Walks everything. The caller sees to it that nobody else is at work.
  [[nodiscard]] bool is_valid() const noexcept;

 private:
  friend ArenaView;
  [[nodiscard]] char* memory_at(std::size_t slot) const {
    return reinterpret_cast<char*>(base_ + (slot << kSlotShift));
  }
  static constexpr std::uint32_t kExactBins = 64;
  static constexpr std::uint32_t kBins = kExactBins + 4 * 19;

  // A side table inside the reservation, usable from its front on.
  struct Table {
    char* base = nullptr;
    std::size_t committed = 0, reserved = 0;
    [[nodiscard]] bool ensure(std::size_t bytes) noexcept;
    void give_back(std::size_t keep) noexcept;
    [[nodiscard]] bool holds(char const* at) const noexcept { return at >= base && at < base + reserved; }
  };
  struct FreeRuns {
    List<Run> bins[kBins];
    std::uint64_t nonempty[divide_up(kBins, 64)] = {};
  };

  [[nodiscard]] static std::uint32_t bin_of(std::uint32_t slots);
  [[nodiscard]] Run* find(Zone zone, std::uint32_t slots, std::uint32_t align, std::uint32_t& first) const noexcept;
  [[nodiscard]] bool grow(Zone zone, std::uint32_t slots) noexcept;
  [[nodiscard]] bool commit(std::uint32_t slots) noexcept;
  void set_tags(std::uint32_t first, std::uint32_t slots, RunState state, Zone zone) noexcept;
  void insert_free(std::uint32_t first, std::uint32_t slots, std::uint32_t dirty, Zone zone,
                   std::uint32_t now_ms) noexcept;
  void remove_free(Run* run) noexcept;
  [[nodiscard]] Run* take(Run* free_run, std::uint32_t first, std::uint32_t slots) noexcept;
  [[nodiscard]] std::uint32_t dirty_pages(std::uint32_t first, std::uint32_t slots) const noexcept;
  void gave_back(std::size_t bytes) noexcept;
  void uncharge(std::uint32_t first, std::uint32_t slots) noexcept;
  // Of a slot's bits. Without an instruction for it, counting them is a call.
  [[nodiscard]] static constexpr std::uint32_t pages_in(std::uint32_t bits) noexcept {
    static_assert(kPagesPerSlot == 4);
    return static_cast<std::uint32_t>(0x4332'3221'3221'2110u >> bits * 4 & 0xF);
  }
  // Of a slot the pages that lie in [from, to), counted from the slot's run.
  [[nodiscard]] static std::uint32_t bits_within(std::uint32_t slot, std::uint32_t from, std::uint32_t to) noexcept {
    std::uint32_t const begin = slot * kPagesPerSlot;
    auto const below = [begin](std::uint32_t page) {
      return (1u << (page <= begin ? 0 : min(page - begin, kPagesPerSlot))) - 1;
    };
    return below(to) & ~below(from);
  }
  [[nodiscard]] bool has_capacity() const noexcept { return budget_.capacity() != CapacityLimits::kNoCapacity; }
  void prepare_mapping(char* memory, std::size_t bytes) const noexcept;
  [[nodiscard]] bool huge_pages_pay(Zone zone, std::uint32_t slots) const noexcept;
  void ask_for_huge_pages(Run const* free_run, std::uint32_t first, std::uint32_t slots) noexcept;
  [[nodiscard]] bool is_huge_page_quick(char* within) noexcept;
  [[nodiscard]] bool pauses_huge_pages() const noexcept;
  void give_up_huge_pages(std::uint32_t first, std::uint32_t slots) noexcept;
  void refuse_huge_page(std::uint32_t at) noexcept;
  void refuse_huge_pages(std::uint32_t first, std::uint32_t slots) noexcept;
  void forget_huge_pages(std::uint32_t first, std::uint32_t slots) noexcept;
  [[nodiscard]] bool asked_for_huge_pages(std::uint32_t first, std::uint32_t slots) const noexcept;
  [[nodiscard]] std::uint32_t begin_of_huge(std::uint32_t slot, std::uint32_t least) const noexcept;
  [[nodiscard]] std::uint32_t end_of_huge(std::uint32_t slot, std::uint32_t most) const noexcept;
  [[nodiscard]] bool map_afresh(Run const* run, std::uint32_t slots) noexcept;
  std::size_t purge_part(Run* run, std::size_t most) noexcept;
  std::size_t purge_run(Run* run) noexcept { return purge_part(run, ~std::size_t{0}); }
  std::size_t purge_locked(std::uint32_t age_ms, std::uint32_t now_ms) noexcept;
  void purge_when_due(std::uint32_t now_ms) noexcept;
  [[nodiscard]] std::uint32_t frontier() const noexcept {
    return static_cast<std::uint32_t>(committed_.load(std::memory_order_relaxed) >> kSlotShift);
  }

  // Read by every free; written at a commit.
  alignas(64) std::uintptr_t base_ = 0;
  std::atomic<std::size_t> committed_{0};  // bytes from base_ on that are usable: whole slots
  std::atomic<std::uint32_t>* map_ = nullptr;
  char* runs_ = nullptr;
  std::atomic<std::uint8_t>* charged_ = nullptr;  // a slot's charged pages, a bit each

  alignas(64) Mutex mutex_;  // guards what follows, and the tags and bins of free runs
  Table map_table_, charged_table_, run_table_;
  std::size_t reserved_ = 0;
  std::uint32_t step_slots_ = 0;
  FreeRuns free_[2];
  std::atomic<std::uint64_t> purged_bytes_{0};
  std::atomic<std::size_t> free_dirty_pages_{0};  // == sum of the free runs' dirty_pages
  std::uint32_t purge_delay_ms_ = 500;
  std::uint32_t last_purge_ms_ = 0;
  std::uint32_t purge_pause_ms_ = 0;  // until those who free look again
  // Where purge_step() goes on: the next run, or, after the last one of its bin, the next bin (of both zones, one after
  // the other).
  Run* step_run_ = nullptr;
  std::uint32_t step_bin_ = 0;
  std::uint32_t moved_runs_ = 0;
  bool moves_ = true;          // false once a failed move cost us a run
  bool moves_several_ = true;  // the kernel moves ranges of several mappings at once, as far as we know
  bool dumpable_ = true;
  HugePages huge_pages_ = HugePages::never;
  std::size_t used_slots_ = 0;  // == sum of the used runs' slots
  // How long to do without, since the last one that was tried was slow, and until when; 0: it was not.
  std::uint32_t huge_pause_ms_ = 0, huge_pause_until_ms_ = 0;
  std::uint32_t untried_ = 0;                     // huge pages asked for since one was tried
  std::atomic<std::int32_t> filled_{0};           // spans that came back filled, less those that did not
  std::atomic<std::uint32_t> largest_filled_{0};  // slots of the longest of them
  std::atomic<std::int32_t> refused_{0};          // == number of slots whose advice is `refused`
  Budget& budget_;
};

inline void ArenaView::follow(Arena const& arena) {
  base = arena.base_;
  map = arena.map_;
  std::atomic_signal_fence(std::memory_order_seq_cst);
  committed = arena.committed_.load(std::memory_order_acquire);
}

extern constinit Arena g_arena;

}  // namespace stealth
