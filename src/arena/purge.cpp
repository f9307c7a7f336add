// Freeing runs, giving memory back to the kernel by age, moving pages; and the arena's checker. See arena.hpp.
#include "arena/arena.hpp"
#include "base/check.hpp"
#include "os/os.hpp"

namespace stealth {

namespace {

// Less free dirty memory than this is not worth a system call by age.
constexpr std::size_t kWorthPurging = kMiB;
// Runs that are mappings of their own, at most: each costs two of the 65,530 mappings that a process may have.
constexpr std::uint32_t kMostMoved = 1024;

}  // namespace

std::uint32_t Arena::dirty_pages(std::uint32_t first, std::uint32_t slots) const noexcept {
  std::uint32_t sum = 0;
  for (std::uint32_t slot = first; slot < first + slots; ++slot) sum += charged_[slot].load(std::memory_order_relaxed);
  return sum;
}

// Maps a run's memory afresh. False: the kernel refused and may have left a hole in our range; the run is not to be
// used again. Its addresses are taken where that is possible, so that nobody else's memory comes to lie there.
bool Arena::map_afresh(Run const* run, std::uint32_t slots) noexcept {
  char* const memory = memory_of(run);
  std::size_t const bytes = std::size_t{slots} << kSlotShift;
  bool const usable = os::map_afresh(memory, bytes) || os::fill_hole(memory, bytes, true);
  if (!usable) static_cast<void>(os::fill_hole(memory, bytes, false));
  if (usable && !dumpable_) os::exclude_from_dumps(memory, bytes);
  uncharge(slot_of(run), slots);
  return usable;
}

void Arena::uncharge(std::uint32_t first, std::uint32_t slots) noexcept {
  std::size_t const bytes = dirty_pages(first, slots) * kPage;
  if (bytes == 0) return;  // and nobody is to be woken for it
  for (std::uint32_t slot = first; slot < first + slots; ++slot) charged_[slot].store(0, std::memory_order_relaxed);
  budget_.release(bytes);
}

void Arena::free(Run* run) noexcept {
  Hold hold(mutex_);
  STEALTH_CHECK(run->state == RunState::used);
  std::uint32_t const first = slot_of(run);
  std::uint32_t const slots = run->slots;
  if (run->moved) {
    --moved_runs_;
    if (!map_afresh(run, slots)) return;  // stays used, by nobody
  }
  std::uint32_t const now = os::coarse_ms();
  std::uint32_t const dirty = dirty_pages(first, slots);
  insert_free(first, slots, dirty, run->zone, now);
  budget_.pages_freed(static_cast<std::int64_t>(dirty * kPage));
  purge_when_due(now);
}

void Arena::purge_when_due(std::uint32_t now_ms) noexcept {
  if (purge_delay_ms_ == 0 || budget_.is_over()) {  // over the capacity, what becomes free pays that back first
    purge_locked(0, now_ms);
  } else if (free_dirty_bytes() >= kWorthPurging && now_ms - last_purge_ms_ >= max(purge_delay_ms_ / 4, 1u)) {
    last_purge_ms_ = now_ms;
    purge_locked(purge_delay_ms_, now_ms);
  }
}

std::size_t Arena::purge_run(Run* run) noexcept {
  std::uint32_t first = slot_of(run);
  std::uint32_t end = first + run->slots;
  while (charged_[first].load(std::memory_order_relaxed) == 0) ++first;
  while (charged_[end - 1].load(std::memory_order_relaxed) == 0) --end;
  if (!os::purge(reinterpret_cast<void*>(base_ + (std::size_t{first} << kSlotShift)),
                 std::size_t{end - first} << kSlotShift)) {
    return 0;
  }
  std::size_t const bytes = run->dirty_pages * kPage;
  free_dirty_pages_.fetch_sub(run->dirty_pages, std::memory_order_relaxed);
  run->dirty_pages = 0;
  uncharge(first, end - first);
  return bytes;
}

std::size_t Arena::purge_locked(std::uint32_t age_ms, std::uint32_t now_ms) noexcept {
  std::size_t purged = 0;
  for (FreeRuns& free : free_) {
    for (std::uint32_t word = 0; word < divide_up(kBins, 64); ++word) {
      for (std::uint64_t bits = free.nonempty[word]; bits != 0; bits &= bits - 1) {
        auto const bin = word * 64 + static_cast<std::uint32_t>(__builtin_ctzll(bits));
        for (Run* run = free.bins[bin].front(); run != nullptr; run = List<Run>::next(run)) {
          if (run->dirty_pages != 0 && now_ms - run->freed_ms >= age_ms) purged += purge_run(run);
        }
      }
    }
  }
  return purged;
}

void Arena::purge_down_to(std::size_t keep) noexcept {
  if (free_dirty_bytes() <= keep) return;
  Hold hold(mutex_);
  for (std::uint32_t bin = kBins; bin-- > 0 && free_dirty_bytes() > keep;) {
    for (FreeRuns& free : free_) {
      for (Run* run = free.bins[bin].front(); run != nullptr && free_dirty_bytes() > keep; run = List<Run>::next(run)) {
        if (run->dirty_pages != 0) purge_run(run);
      }
    }
  }
}

std::size_t Arena::purge(std::uint32_t age_ms) noexcept {
  Hold hold(mutex_);
  return purge_locked(age_ms, os::coarse_ms());
}

void Arena::purge_from(Run const* run, std::uint32_t slot) noexcept {
  std::uint32_t const first = slot_of(run) + slot;
  std::uint32_t const count = run->slots - slot;
  if (dirty_pages(first, count) == 0) return;
  if (os::purge(memory_of(run) + (std::size_t{slot} << kSlotShift), std::size_t{count} << kSlotShift))
    uncharge(first, count);
}

Moved Arena::move(Run* from, Run* to, std::uint32_t slots) noexcept {
  Hold hold(mutex_);
  // A moved run that grew past what was moved is several mappings: kernels that do not move those are asked once.
  if (!moves_ || moved_runs_ >= kMostMoved || (from->moved && !moves_several_)) return Moved::not_at_all;
  std::uint32_t const source = slot_of(from);
  std::uint32_t const target = slot_of(to);
  std::size_t const bytes = std::size_t{slots} << kSlotShift;
  if (!os::move_pages(memory_of(from), memory_of(to), bytes)) {
    moves_several_ = false;
    // What is there now, if it is no hole, may be ours or, in the worst case, somebody else's: then it is not touched
    // again.
    bool const whole = os::fill_hole(memory_of(to), bytes, true);
    if (!whole) {
      static_cast<void>(os::fill_hole(memory_of(to), bytes, false));
      moves_ = false;
    }
    uncharge(target, slots);
    return whole ? Moved::not_at_all : Moved::target_lost;
  }
  // Both are mapped afresh when they are freed: the target to merge with its neighbours, the source because emulators
  // forget DONTUNMAP and leave a hole there.
  for (Run* const run : {from, to}) {
    if (!run->moved) ++moved_runs_;
    run->moved = true;
  }
  uncharge(target, slots);  // what was there is unmapped
  for (std::uint32_t i = 0; i < slots; ++i) {
    charged_[target + i].store(charged_[source + i].exchange(0, std::memory_order_relaxed), std::memory_order_relaxed);
  }
  return Moved::pages;
}

Run const* Arena::run_holding(std::size_t slot) const noexcept {
  std::size_t first = 0;
  while (first < frontier() && first + run_at(first)->slots <= slot) first += max(run_at(first)->slots, 1u);
  return run_at(first);
}

bool Arena::is_valid() const noexcept {
  std::size_t charged = 0, free_dirty = 0, free_runs = 0, listed = 0;
  bool last_was_free = false;
  Zone last_zone = Zone::slabs;
  for (std::uint32_t slot = 0; slot < frontier();) {
    Run const* const run = run_at(slot);
    if (run->state == RunState::none || run->slots == 0 || slot + run->slots > frontier()) return false;
    Run const* const last = run_at(slot + run->slots - 1);
    if (last->slots != run->slots || last->state != run->state || last->zone != run->zone) return false;
    std::uint32_t const dirty = dirty_pages(slot, run->slots);
    charged += dirty;
    bool const is_free = run->state == RunState::free;
    if (is_free) {
      if (dirty != run->dirty_pages || (last_was_free && last_zone == run->zone)) return false;
      free_dirty += dirty;
      ++free_runs;
    }
    last_was_free = is_free;
    last_zone = run->zone;
    slot += run->slots;
  }
  for (FreeRuns const& free : free_) {
    for (std::uint32_t bin = 0; bin < kBins; ++bin) {
      if (free.bins[bin].empty() != ((free.nonempty[bin / 64] >> bin % 64 & 1) == 0)) return false;
      for (Run const* run = free.bins[bin].front(); run != nullptr; run = List<Run>::next(run)) {
        if (run->state != RunState::free || bin_of(run->slots) != bin) return false;
        ++listed;
      }
    }
  }
  return listed == free_runs && free_dirty == free_dirty_pages_.load(std::memory_order_relaxed) &&
         charged * kPage + budget_.held_outside() == budget_.facts().held;
}

}  // namespace stealth
