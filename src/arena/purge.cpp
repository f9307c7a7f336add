// Freeing runs, giving memory back to the kernel by age, moving pages; and the arena's checker. See arena.hpp.
#include "arena/arena.hpp"
#include "base/check.hpp"
#include "os/os.hpp"

namespace stealth {

namespace {

// What purge_step() does at once: the memory of a huge page, which is not torn up so, and so many runs.
constexpr std::size_t kStepBytes = 2 * kMiB;
constexpr std::uint32_t kStepRuns = 256;
// Runs that are mappings of their own, at most: each costs two of the 65,530 mappings that a process may have.
constexpr std::uint32_t kMostMoved = 1024;

}  // namespace

std::uint32_t Arena::dirty_pages(std::uint32_t first, std::uint32_t slots) const noexcept {
  std::uint32_t sum = 0;
  for (std::uint32_t slot = first; slot < first + slots; ++slot)
    sum += pages_in(charged_[slot].load(std::memory_order_relaxed));
  return sum;
}

// Maps a run's memory afresh. False: the kernel refused and may have left a hole in our range; the run is not to be
// used again. Its addresses are taken where that is possible, so that nobody else's memory comes to lie there.
bool Arena::map_afresh(Run const* run, std::uint32_t slots) noexcept {
  char* const memory = memory_of(run);
  std::size_t const bytes = std::size_t{slots} << kSlotShift;
  forget_huge_pages(slot_of(run), slots);
  // After a refusal nobody may touch it any more: what is in it goes while it is certainly ours.
  if (dirty_pages(slot_of(run), slots) != 0) static_cast<void>(os::purge(memory, bytes));
  bool const usable = os::map_afresh(memory, bytes) || os::fill_hole(memory, bytes, true);
  if (usable) {
    prepare_mapping(memory, bytes);
  } else {
    static_cast<void>(os::fill_hole(memory, bytes, false));
  }
  uncharge(slot_of(run), slots);
  return usable;
}

void Arena::uncharge(std::uint32_t first, std::uint32_t slots) noexcept {
  std::size_t const bytes = dirty_pages(first, slots) * kPage;
  if (bytes == 0) return;  // and nobody is to be woken for it
  for (std::uint32_t slot = first; slot < first + slots; ++slot) charged_[slot].store(0, std::memory_order_relaxed);
  gave_back(bytes);
}

void Arena::gave_back(std::size_t bytes) noexcept {
  purged_bytes_.fetch_add(bytes, std::memory_order_relaxed);
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
  used_slots_ -= slots;
  std::uint32_t const now = os::coarse_ms();
  std::uint32_t const dirty = dirty_pages(first, slots);
  insert_free(first, slots, dirty, run->zone, now);
  budget_.pages_freed(static_cast<std::int64_t>(dirty * kPage));
  purge_when_due(now);
}

void Arena::purge_when_due(std::uint32_t now_ms) noexcept {
  if (purge_delay_ms_ == 0 || budget_.is_over()) {  // over the capacity, what becomes free pays that back first
    purge_locked(0, now_ms);
  } else if (worth_purging() && now_ms - last_purge_ms_ >= purge_pause_ms_) {
    last_purge_ms_ = now_ms;
    purge_pause_ms_ = max(purge_delay_ms_ / 4, 1u);
    purge_locked(purge_delay_ms_, now_ms);
  }
}

// The run has dirty pages. Up to `most` bytes of addresses, to a boundary of as many bytes.
std::size_t Arena::purge_part(Run* run, std::size_t most) noexcept {
  std::uint32_t first = slot_of(run);
  std::uint32_t end = first + run->slots;
  while (charged_[first].load(std::memory_order_relaxed) == 0) ++first;
  if (std::size_t{end - first} << kSlotShift > most) {
    auto const at_once = static_cast<std::uint32_t>(most >> kSlotShift);
    end = min(end, static_cast<std::uint32_t>(align_down(first + at_once, at_once)));
  }
  while (charged_[end - 1].load(std::memory_order_relaxed) == 0) --end;
  first = begin_of_huge(first, slot_of(run));
  end = end_of_huge(end, slot_of(run) + run->slots);
  refuse_huge_pages(first, end - first);
  if (!os::purge(memory_at(first), std::size_t{end - first} << kSlotShift)) {
    return 0;
  }
  std::uint32_t const pages = dirty_pages(first, end - first);
  free_dirty_pages_.fetch_sub(pages, std::memory_order_relaxed);
  run->dirty_pages -= pages;
  uncharge(first, end - first);
  return pages * kPage;
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

Arena::Step Arena::purge_step(bool first) noexcept {
  Hold hold(mutex_);
  std::uint32_t const now = os::coarse_ms();
  if (first) {
    step_run_ = nullptr;
    step_bin_ = 0;
    last_purge_ms_ = now;
    purge_pause_ms_ = max(purge_delay_ms_ / 2, 1u);  // those who free do not purge as long as this is done in time
  }
  Step step;
  for (std::uint32_t runs = 0; step.bytes < kStepBytes && runs < kStepRuns;) {
    if (step_run_ == nullptr) {
      if (step_bin_ == 2 * kBins) return step;
      step_run_ = free_[step_bin_ / kBins].bins[step_bin_ % kBins].front();
      ++step_bin_;
      continue;
    }
    Run* const run = step_run_;
    ++runs;
    if (run->dirty_pages != 0 && now - run->freed_ms >= purge_delay_ms_) {
      std::size_t const bytes = purge_part(run, kStepBytes);
      step.bytes += bytes;
      step.refused |= bytes == 0;
      if (bytes != 0 && run->dirty_pages != 0) continue;
    }
    step_run_ = List<Run>::next(run);
  }
  step.more = true;
  return step;
}

void Arena::purge_from(Run const* run, std::uint32_t slot) noexcept {
  std::uint32_t const first = slot_of(run) + slot;
  std::uint32_t const count = run->slots - slot;
  if (dirty_pages(first, count) == 0) return;
  refuse_huge_pages(first, count);
  if (os::purge(memory_of(run) + (std::size_t{slot} << kSlotShift), std::size_t{count} << kSlotShift))
    uncharge(first, count);
}

bool Arena::purge_pages(Run const* run, std::uint32_t from, std::uint32_t to) noexcept {
  std::uint32_t const first = slot_of(run);
  std::uint32_t const begin = from / kPagesPerSlot;
  refuse_huge_pages(first + begin, static_cast<std::uint32_t>(divide_up(to, kPagesPerSlot)) - begin);
  if (!os::purge(memory_of(run) + std::size_t{from} * kPage, std::size_t{to - from} * kPage)) return false;
  std::size_t pages = 0;
  for (std::uint32_t slot = begin; slot * kPagesPerSlot < to; ++slot) {
    std::uint32_t const have = charged_[first + slot].load(std::memory_order_relaxed);
    std::uint32_t const gone = have & bits_within(slot, from, to);
    charged_[first + slot].store(static_cast<std::uint8_t>(have & ~gone), std::memory_order_relaxed);
    pages += pages_in(gone);
  }
  if (pages != 0) gave_back(pages * kPage);
  return true;
}

Moved Arena::move(Run* from, Run* to, std::uint32_t slots) noexcept {
  Hold hold(mutex_);
  std::uint32_t const source = slot_of(from);
  // A moved run that grew past what was moved is several mappings, and so may be what huge pages were asked for:
  // kernels that do not move those are asked once.
  bool const may_be_several = from->moved || asked_for_huge_pages(source, slots);
  if (!moves_ || moved_runs_ >= kMostMoved || (may_be_several && !moves_several_)) return Moved::not_at_all;
  std::uint32_t const target = slot_of(to);
  std::size_t const bytes = std::size_t{slots} << kSlotShift;
  // For the same reason as in map_afresh().
  if (dirty_pages(target, slots) != 0) static_cast<void>(os::purge(memory_of(to), bytes));
  if (!os::move_pages(memory_of(from), memory_of(to), bytes)) {
    moves_several_ = false;
    // What is there now, if it is no hole, may be ours or, in the worst case, somebody else's: then it is not touched
    // again.
    bool const whole = os::fill_hole(memory_of(to), bytes, true);
    if (!whole) {
      static_cast<void>(os::fill_hole(memory_of(to), bytes, false));
      moves_ = false;
    }
    forget_huge_pages(target, slots);
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
  std::size_t charged = 0, used = 0, free_dirty = 0, free_runs = 0, listed = 0;
  std::int32_t refused = 0;
  bool last_was_free = false;
  Zone last_zone = Zone::slabs;
  for (std::uint32_t slot = 0; slot < frontier();) {
    Run const* const run = run_at(slot);
    if (run->state == RunState::none || run->slots == 0 || slot + run->slots > frontier()) return false;
    Run const* const last = run_at(slot + run->slots - 1);
    if (last->slots != run->slots || last->state != run->state || last->zone != run->zone) return false;
    std::uint32_t const dirty = dirty_pages(slot, run->slots);
    charged += dirty;
    used += run->state == RunState::used ? run->slots : 0;
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
  for (std::uint32_t slot = 0; slot < frontier(); ++slot)
    refused += run_at(slot)->advice.load(std::memory_order_relaxed) == Advice::refused ? 1 : 0;
  return used == used_slots_ && refused == refused_.load(std::memory_order_relaxed) && listed == free_runs &&
         free_dirty == free_dirty_pages_.load(std::memory_order_relaxed) &&
         charged * kPage + budget_.held_outside() == budget_.facts().held;
}

}  // namespace stealth
