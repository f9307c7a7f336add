// Handing out runs of slots: best fit, boundary tags, growth in steps. See arena.hpp; purging is in purge.cpp.
#include "arena/arena.hpp"

#include <cstring>

#include "base/check.hpp"
#include "os/os.hpp"

namespace stealth {

constinit Arena g_arena{g_budget};

namespace {

constexpr std::size_t kHugePage = 2 * kMiB;
constexpr std::size_t kTableStep = 64 * kKiB;  // of every table and of the whole: a multiple of any system's page
constexpr std::size_t kLargestStep = 32 * kMiB;
constexpr std::uint32_t kBinScan = 16;  // runs looked at in one bin before a larger one is taken

// Per slot: the run, the map's word, the charged pages.
constexpr std::size_t kTableBytesPerSlot = kRunStride + sizeof(std::uint32_t) + sizeof(std::uint8_t);

}  // namespace

bool Arena::Table::ensure(std::size_t bytes) noexcept {
  if (bytes <= committed) return true;
  std::size_t const wanted = min(align_up(bytes, kTableStep), reserved);
  if (wanted < bytes || !os::commit(base + committed, wanted - committed)) return false;
  committed = wanted;
  return true;
}

void Arena::Table::give_back(std::size_t keep) noexcept {
  std::size_t const kept = max(align_up(keep, kTableStep), committed);
  if (kept < reserved && os::unmap(base + kept, reserved - kept)) reserved = kept;
}

bool Arena::reserve(std::size_t bytes) noexcept {
  for (; bytes >= kMiB; bytes /= 2) {
    std::size_t const slots = bytes >> kSlotShift;
    std::size_t const tables = slots * kTableBytesPerSlot + 3 * kTableStep;
    std::size_t const alignment = bytes >= 64 * kMiB ? kHugePage : kMostSlabBytes;
    std::size_t const total = align_up(tables, kTableStep) + alignment + bytes;
    auto* const start = static_cast<char*>(os::reserve(total));
    if (start == nullptr) continue;
    auto lay_out = [at = align_up(reinterpret_cast<std::uintptr_t>(start), kTableStep)](std::size_t length) mutable {
      auto* const here = reinterpret_cast<char*>(at);
      at += align_up(length, kTableStep);
      return here;
    };
    map_table_ = {lay_out(slots * sizeof(std::uint32_t)), 0, align_up(slots * sizeof(std::uint32_t), kTableStep)};
    charged_table_ = {lay_out(slots), 0, align_up(slots, kTableStep)};
    run_table_ = {lay_out(slots * kRunStride), 0, align_up(slots * kRunStride, kTableStep)};
    base_ = align_up(reinterpret_cast<std::uintptr_t>(lay_out(0)), alignment);
    std::uintptr_t const end = reinterpret_cast<std::uintptr_t>(start) + total;
    reserved_ = align_down(end - base_, kTableStep);
    reserved_ = min(reserved_, bytes);
    map_ = reinterpret_cast<std::atomic<std::uint32_t>*>(map_table_.base);
    charged_ = reinterpret_cast<std::atomic<std::uint8_t>*>(charged_table_.base);
    runs_ = run_table_.base;
    std::size_t step = kLargestStep;
    while (step > kMiB && step > reserved_ / 16) step /= 2;
    step_slots_ = static_cast<std::uint32_t>(step >> kSlotShift);
    return true;
  }
  return false;
}

std::size_t Arena::mapped_bytes() const noexcept {
  return reserved_ + map_table_.reserved + charged_table_.reserved + run_table_.reserved;
}

void Arena::limit_reservation(std::size_t most) noexcept {
  Hold hold(mutex_);
  std::size_t const kept = align_up(max(committed_.load(std::memory_order_relaxed), most), kTableStep);
  if (kept >= reserved_ || !os::unmap(reinterpret_cast<void*>(base_ + kept), reserved_ - kept)) return;
  reserved_ = kept;
  std::size_t const slots = kept >> kSlotShift;
  map_table_.give_back(slots * sizeof(std::uint32_t));
  charged_table_.give_back(slots);
  run_table_.give_back(slots * kRunStride);
}

// Bins 1…63 hold one size each, later ones four to a doubling.
std::uint32_t Arena::bin_of(std::uint32_t slots) {
  if (slots < kExactBins) return slots;
  auto const exponent = static_cast<std::uint32_t>(31 - __builtin_clz(slots));
  std::uint32_t const quarter = (slots >> (exponent - 2)) & 3;
  return min(kExactBins + (exponent - 6) * 4 + quarter, kBins - 1);
}

void Arena::set_tags(std::uint32_t first, std::uint32_t slots, RunState state, Zone zone) noexcept {
  for (std::uint32_t const at : {first, first + slots - 1}) {
    Run* const run = run_at(at);
    run->slots = slots;
    run->state = state;
    run->zone = zone;
  }
}

void Arena::remove_free(Run* run) noexcept {
  if (run == step_run_) step_run_ = List<Run>::next(run);
  FreeRuns& free = free_[static_cast<int>(run->zone)];
  std::uint32_t const bin = bin_of(run->slots);
  free.bins[bin].remove(run);
  if (free.bins[bin].empty()) free.nonempty[bin / 64] &= ~(std::uint64_t{1} << bin % 64);
  free_dirty_pages_.fetch_sub(run->dirty_pages, std::memory_order_relaxed);
}

// Makes slots a free run, merged with its free neighbours of the same zone.
void Arena::insert_free(std::uint32_t first, std::uint32_t slots, std::uint32_t dirty, Zone zone,
                        std::uint32_t now_ms) noexcept {
  auto const swallow = [&](Run* neighbour) {
    remove_free(neighbour);
    if (neighbour->dirty_pages > dirty) now_ms = neighbour->freed_ms;  // the age of the larger part
    dirty += neighbour->dirty_pages;
    slots += neighbour->slots;
  };
  if (first > 0) {
    Run* const last_before = run_at(first - 1);
    if (last_before->state == RunState::free && last_before->zone == zone) {
      first -= last_before->slots;
      swallow(run_at(first));
    }
  }
  if (first + slots < frontier()) {
    Run* const after = run_at(first + slots);
    if (after->state == RunState::free && after->zone == zone) swallow(after);
  }
  set_tags(first, slots, RunState::free, zone);
  Run* const run = run_at(first);
  run->freed_ms = now_ms;
  run->dirty_pages = dirty;
  run->moved = false;
  free_dirty_pages_.fetch_add(dirty, std::memory_order_relaxed);
  FreeRuns& free = free_[static_cast<int>(zone)];
  std::uint32_t const bin = bin_of(slots);
  free.bins[bin].push_front(run);
  free.nonempty[bin / 64] |= std::uint64_t{1} << bin % 64;
}

// The smallest free run that holds `slots` aligned slots; `first` is where in it they begin.
Run* Arena::find(Zone zone, std::uint32_t slots, std::uint32_t align, std::uint32_t& first) const noexcept {
  FreeRuns const& free = free_[static_cast<int>(zone)];
  std::size_t const base_slot = base_ >> kSlotShift;  // addresses are to be aligned, not slot numbers
  std::uint32_t bin = bin_of(slots);
  while (bin < kBins) {
    std::uint64_t const word = free.nonempty[bin / 64] >> bin % 64;
    if (word == 0) {
      bin = (bin / 64 + 1) * 64;
      continue;
    }
    bin += static_cast<std::uint32_t>(__builtin_ctzll(word));
    if (bin >= kBins) break;
    Run* best = nullptr;
    std::uint32_t looked_at = 0;
    for (Run* run = free.bins[bin].front(); run != nullptr; run = List<Run>::next(run)) {
      std::uint32_t const start = slot_of(run);
      auto const aligned = static_cast<std::uint32_t>(align_up(base_slot + start, align) - base_slot);
      bool const fits = aligned + slots <= start + run->slots;
      if (fits && (best == nullptr || run->slots < best->slots)) best = run, first = aligned;
      // The last bin has no upper bound and is searched whole; elsewhere a few looks are enough.
      if ((fits && run->slots == slots) || (++looked_at >= kBinScan && bin != kBins - 1)) break;
    }
    if (best != nullptr) return best;
    ++bin;
  }
  return nullptr;
}

// Cuts [first, first + slots) out of a free run; what is left of it stays free and as old as it was.
Run* Arena::take(Run* free_run, std::uint32_t first, std::uint32_t slots) noexcept {
  std::uint32_t const start = slot_of(free_run);
  std::uint32_t const end = start + free_run->slots;
  std::uint32_t const freed_ms = free_run->freed_ms;
  Zone const zone = free_run->zone;
  // What is taken and what is cut off for alignment is short; the rest, which may be long, is not walked.
  std::uint32_t const dirty_before = dirty_pages(start, first - start);
  std::uint32_t const dirty_taken = dirty_pages(first, slots);
  std::uint32_t const dirty_after = free_run->dirty_pages - dirty_before - dirty_taken;
  budget_.pages_freed(-static_cast<std::int64_t>(dirty_taken * kPage));
  if (pauses_huge_pages()) {
    give_up_huge_pages(first, slots);
  } else if (huge_pages_pay(zone, slots)) {
    ask_for_huge_pages(free_run, first, slots);
  }
  used_slots_ += slots;
  remove_free(free_run);
  set_tags(first, slots, RunState::used, zone);
  if (start < first) insert_free(start, first - start, dirty_before, zone, freed_ms);
  if (first + slots < end) insert_free(first + slots, end - first - slots, dirty_after, zone, freed_ms);
  Run* const run = run_at(first);
  run->moved = false;
  return run;
}

void Arena::prepare_mapping(char* memory, std::size_t bytes) const noexcept {
  if (!dumpable_) os::exclude_from_dumps(memory, bytes);
  // Where the kernel makes huge pages unasked.
  if (huge_pages_ == HugePages::never || (huge_pages_ == HugePages::automatic && has_capacity()))
    os::refuse_huge_pages(memory, bytes);
}

// Makes the next `slots` slots of the reservation usable, and their places in the tables.
bool Arena::commit(std::uint32_t slots) noexcept {
  std::size_t const committed = committed_.load(std::memory_order_relaxed);
  std::size_t const bytes = std::size_t{slots} << kSlotShift;
  if (bytes > reserved_ - committed) return false;
  std::size_t const total = (committed + bytes) >> kSlotShift;
  if (!map_table_.ensure(total * sizeof(std::uint32_t)) || !charged_table_.ensure(total) ||
      !run_table_.ensure(total * kRunStride)) {
    return false;
  }
  auto* const memory = reinterpret_cast<char*>(base_ + committed);
  if (!os::commit(memory, bytes)) return false;
  prepare_mapping(memory, bytes);
  committed_.store(committed + bytes, std::memory_order_release);
  return true;
}

// Extends the zone at the frontier so that a run of `slots` fits. Smaller steps are tried when the kernel refuses large
// ones.
bool Arena::grow(Zone zone, std::uint32_t slots) noexcept {
  std::uint32_t const first = frontier();
  std::uint32_t needed = slots;
  if (first > 0 && run_at(first - 1)->state == RunState::free && run_at(first - 1)->zone == zone) {
    needed -= min(needed, run_at(first - 1)->slots);
  }
  needed = max(needed, 1u);
  std::uint32_t step = static_cast<std::uint32_t>(align_up(needed, step_slots_));
  while (!commit(step)) {
    if (step == needed) return false;
    step = max(needed, step / 2);
  }
  insert_free(first, step, 0, zone, os::coarse_ms());
  return true;
}

Run* Arena::allocate(Zone zone, std::uint32_t slots, std::uint32_t align) noexcept {
  STEALTH_CHECK(slots > 0 && is_power_of_two(align));
  if ((std::size_t{slots} + align - 1) << kSlotShift > reserved_) return nullptr;
  Hold hold(mutex_);
  std::uint32_t first = 0;
  Run* found = find(zone, slots, align, first);
  if (found == nullptr && grow(zone, slots + align - 1)) found = find(zone, slots, align, first);
  if (found == nullptr) {  // the other zone's free memory is better than none
    found = find(zone == Zone::slabs ? Zone::spans : Zone::slabs, slots, align, first);
    if (found == nullptr) return nullptr;
  }
  return take(found, first, slots);
}

bool Arena::extend(Run* run, std::uint32_t slots) noexcept {
  Hold hold(mutex_);
  std::uint32_t const end = slot_of(run) + run->slots;
  std::uint32_t const more = slots - run->slots;
  if (std::size_t{slots} << kSlotShift > reserved_ || run->moved) return false;
  if (end == frontier() && !grow(run->zone, more)) return false;
  if (end == frontier()) return false;
  Run* after = run_at(end);
  if (after->state != RunState::free || after->zone != run->zone) return false;
  if (after->slots < more) {
    if (end + after->slots != frontier() || !grow(run->zone, more)) return false;
    if (after->slots < more) return false;
  }
  std::uint32_t const total = run->slots + more;
  static_cast<void>(take(after, end, more));
  set_tags(slot_of(run), total, RunState::used, run->zone);
  return true;
}

void Arena::shrink(Run* run, std::uint32_t slots) noexcept {
  STEALTH_CHECK(slots > 0 && slots <= run->slots);
  if (slots == run->slots || run->moved) return;
  Hold hold(mutex_);
  std::uint32_t const first = slot_of(run);
  std::uint32_t const cut = run->slots - slots;
  set_tags(first, slots, RunState::used, run->zone);
  used_slots_ -= cut;
  std::uint32_t const now = os::coarse_ms();
  insert_free(first + slots, cut, dirty_pages(first + slots, cut), run->zone, now);
  purge_when_due(now);
}

void Arena::set_owner(Run const* run, std::uint32_t words, std::uint32_t word) noexcept {
  std::uint32_t const first = slot_of(run);
  for (std::uint32_t i = 0; i < words; ++i) map_[first + i].store(word, std::memory_order_relaxed);
}

bool Arena::touch(Run const* run, std::uint32_t from, std::uint32_t to, Charge& charge) noexcept {
  if (from >= to) return true;
  std::uint32_t const first = slot_of(run);
  std::uint32_t const begin = from / kPagesPerSlot;
  std::uint32_t const end = static_cast<std::uint32_t>(divide_up(to, kPagesPerSlot));
  std::size_t fresh = 0;
  for (std::uint32_t slot = begin; slot < end; ++slot) {
    std::uint32_t const have = charged_[first + slot].load(std::memory_order_relaxed);
    fresh += pages_in(bits_within(slot, from, to) & ~have);
  }
  if (fresh == 0) return true;
  if (!budget_.try_charge(fresh * kPage, charge)) return false;
  for (std::uint32_t slot = begin; slot < end; ++slot) {
    std::uint32_t const have = charged_[first + slot].load(std::memory_order_relaxed);
    charged_[first + slot].store(static_cast<std::uint8_t>(have | bits_within(slot, from, to)),
                                 std::memory_order_relaxed);
  }
  return true;
}

void Arena::zero_dirty(Run const* run, std::uint32_t pages) noexcept {
  std::uint32_t const first = slot_of(run);
  char* const memory = memory_of(run);
  for (std::uint32_t page = 0; page < pages;) {
    std::uint32_t const dirty = charged_[first + page / kPagesPerSlot].load(std::memory_order_relaxed);
    std::uint32_t const until = min(pages, page + kPagesPerSlot);
    for (std::uint32_t bits = dirty; page < until; ++page, bits >>= 1) {
      if ((bits & 1) != 0) std::memset(memory + std::size_t{page} * kPage, 0, kPage);
    }
  }
}

}  // namespace stealth
