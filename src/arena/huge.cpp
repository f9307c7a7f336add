// Huge pages: where the kernel is asked for them, and where it is told not to make them any more. A huge page is
// faulted in for the price of a few small ones, but is there whole when one byte of it is touched, and a part of it
// that goes back is only free for others once the kernel has torn the rest up. See arena.hpp.
#include "arena/arena.hpp"
#include "os/os.hpp"

namespace stealth {

namespace {

constexpr std::uint32_t kHuge = 2 * kMiB / kSlot;  // slots of one
// Less than this is faulted in quickly enough, and the huge pages' untouched rests would be too large a part of it.
constexpr std::size_t kWorthIt = 16 * kMiB;
// Huge pages refused one by one, at most: each costs up to two of the 65,530 mappings that a process may have.
constexpr std::int32_t kMostRefused = 4096;
// Spans from this size on tell whether the program fills what it asks for.
constexpr std::uint32_t kTellingPages = 256 * kKiB / kPage;
constexpr std::uint32_t kTimesLargest = 4;
constexpr std::int32_t kFilledEnough = 4, kFilledMost = 8, kNotFilled = 4;
// A huge page's first touch takes 100 to 300 us, and the small ones that it stands for 800. But it takes several ms in
// a virtual machine whose host has taken back what was free (free page reporting), or where the kernel has to make room
// for it. So some of them are touched here, and when one is slow there is a pause, twice as long each time in a row.
constexpr std::uint64_t kQuickNs = 1'000'000;
constexpr std::uint32_t kTryEvery = 4;
constexpr std::uint32_t kFirstPauseMs = 1000, kLongestPauseMs = 64'000;

// The page was written to, most likely: what was never touched reads as zero.
bool holds_something(char const* page) noexcept {
  auto const* const words = reinterpret_cast<std::uint64_t const*>(page);
  for (std::size_t i = 0; i < kPage / sizeof *words; ++i) {
    if (words[i] != 0) return true;
  }
  return false;
}

}  // namespace

// A table with much room in it, or a stack, touches little of what it asked for: so spans get none before some have
// come back full, and those much larger than any of these none. Slabs of which little is carved, as many threads have
// them, get none either.
bool Arena::huge_pages_pay(Zone zone, std::uint32_t slots) const noexcept {
  if (huge_pages_ != HugePages::automatic) return huge_pages_ == HugePages::always;
  std::uint64_t const charged = budget_.held() - min(budget_.held(), budget_.held_outside());
  if (charged < kWorthIt || has_capacity()) return false;
  if (zone == Zone::spans && (filled_.load(std::memory_order_relaxed) < kFilledEnough ||
                              slots > kTimesLargest * largest_filled_.load(std::memory_order_relaxed)))
    return false;
  return charged / 3 * 4 >= used_slots_ * kSlot + free_dirty_bytes();
}

void Arena::learn_from(Run const* span, std::uint32_t pages) noexcept {
  constexpr std::size_t kSamples = 8;
  if (huge_pages_ != HugePages::automatic || pages < kTellingPages || has_capacity()) return;
  std::size_t written = 0;
  for (std::size_t i = 0; i < kSamples; ++i) {  // not the ends: a program may have put guard pages there
    std::size_t const page = pages * (i * 2 + 1) / (kSamples * 2);
    written += holds_something(memory_of(span) + page * kPage) ? 1 : 0;
  }
  // Threads that do so at the same time lose one another's word: it is one of many.
  std::int32_t const now = filled_.load(std::memory_order_relaxed);
  std::int32_t const next = written == kSamples ? min(now + 1, kFilledMost) : max(now - kNotFilled, 0);
  if (next != now) filled_.store(next, std::memory_order_relaxed);
  if (written == kSamples && span->slots > largest_filled_.load(std::memory_order_relaxed))
    largest_filled_.store(span->slots, std::memory_order_relaxed);
}

// For what is about to be taken from a free run: those huge pages that lie in the free run and are untouched.
void Arena::ask_for_huge_pages(Run const* free_run, std::uint32_t first, std::uint32_t slots) noexcept {
  if (base_ % (kHuge * kSlot) != 0) return;  // a small reservation
  std::uint32_t const start = slot_of(free_run);
  std::uint32_t const end = start + free_run->slots;
  for (auto at = static_cast<std::uint32_t>(align_down(first, kHuge)); at < first + slots; at += kHuge) {
    if (at < start || at + kHuge > end) continue;
    std::atomic<Advice>& advice = run_at(at)->advice;
    Advice const before = advice.load(std::memory_order_relaxed);
    if (dirty_pages(at, kHuge) != 0) continue;
    if (before != Advice::wanted) {
      if (!os::advise_huge_pages(memory_at(at), kHuge * kSlot)) return;
      advice.store(Advice::wanted, std::memory_order_relaxed);
      if (before == Advice::refused) refused_.fetch_sub(1, std::memory_order_relaxed);
    }
    if (!is_huge_page_quick(memory_at(max(at, first)))) {
      if (at + kHuge < first + slots) give_up_huge_pages(at + kHuge, first + slots - at - kHuge);
      return;
    }
  }
}

// `within` is about to be used by whoever takes it. By the thread's own time: that it has to wait for a processor says
// nothing.
bool Arena::is_huge_page_quick(char* within) noexcept {
  if (huge_pages_ != HugePages::automatic || (huge_pause_ms_ == 0 && untried_++ % kTryEvery != 0)) return true;
  std::uint64_t const before = os::thread_cpu_ns();
  *static_cast<char volatile*>(within) = 0;
  if (os::thread_cpu_ns() - before < kQuickNs) {
    huge_pause_ms_ = 0;
    return true;
  }
  huge_pause_ms_ = min(max(huge_pause_ms_ * 2, kFirstPauseMs), kLongestPauseMs);
  huge_pause_until_ms_ = os::coarse_ms() + huge_pause_ms_;
  return false;
}

bool Arena::pauses_huge_pages() const noexcept {
  return huge_pause_ms_ != 0 && static_cast<std::int32_t>(huge_pause_until_ms_ - os::coarse_ms()) > 0;
}

// What was asked for before, and is not there, shall come in small ones now.
void Arena::give_up_huge_pages(std::uint32_t first, std::uint32_t slots) noexcept {
  for (auto at = static_cast<std::uint32_t>(align_down(first, kHuge)); at < first + slots; at += kHuge) {
    std::atomic<Advice>& advice = run_at(at)->advice;
    if (advice.load(std::memory_order_relaxed) != Advice::wanted || dirty_pages(at, kHuge) != 0) continue;
    refuse_huge_page(at);
  }
}

// One that was wanted; as long as not too many are refused.
void Arena::refuse_huge_page(std::uint32_t at) noexcept {
  if (refused_.load(std::memory_order_relaxed) >= kMostRefused ||
      run_at(at)->advice.exchange(Advice::refused, std::memory_order_relaxed) != Advice::wanted)
    return;
  refused_.fetch_add(1, std::memory_order_relaxed);
  os::refuse_huge_pages(memory_at(at), kHuge * kSlot);
}

// Before these slots go back. Of the huge pages that go in part no new ones are wanted, since the kernel would make
// them whole again by and by; where all of one goes back, another is as welcome.
void Arena::refuse_huge_pages(std::uint32_t first, std::uint32_t slots) noexcept {
  std::uint32_t const end = first + slots;
  for (auto at = static_cast<std::uint32_t>(align_down(first, kHuge)); at < end; at += kHuge) {
    std::atomic<Advice>& advice = run_at(at)->advice;
    bool const in_part = at < first || at + kHuge > end;
    if (!in_part || advice.load(std::memory_order_relaxed) != Advice::wanted) continue;
    refuse_huge_page(at);
    std::uint32_t const from = max(at, first);
    os::break_up_huge_pages(memory_at(from), (min(at + kHuge, end) - from) * kSlot);
  }
}

// Where all of one that was asked for may lie in a free run beyond what is charged, the rest goes back with it: it is
// there, too.
std::uint32_t Arena::begin_of_huge(std::uint32_t slot, std::uint32_t least) const noexcept {
  auto const at = static_cast<std::uint32_t>(align_down(slot, kHuge));
  return at >= least && run_at(at)->advice.load(std::memory_order_relaxed) == Advice::wanted ? at : slot;
}
std::uint32_t Arena::end_of_huge(std::uint32_t slot, std::uint32_t most) const noexcept {
  auto const at = static_cast<std::uint32_t>(align_down(slot - 1, kHuge));
  return at + kHuge <= most && run_at(at)->advice.load(std::memory_order_relaxed) == Advice::wanted ? at + kHuge : slot;
}

bool Arena::asked_for_huge_pages(std::uint32_t first, std::uint32_t slots) const noexcept {
  for (auto at = static_cast<std::uint32_t>(align_down(first, kHuge)); at < first + slots; at += kHuge) {
    if (run_at(at)->advice.load(std::memory_order_relaxed) != Advice::none) return true;
  }
  return false;
}

// Before these slots are mapped afresh.
void Arena::forget_huge_pages(std::uint32_t first, std::uint32_t slots) noexcept {
  refuse_huge_pages(first, slots);
  for (auto at = static_cast<std::uint32_t>(align_up(first, kHuge)); at + kHuge <= first + slots; at += kHuge) {
    if (run_at(at)->advice.exchange(Advice::none, std::memory_order_relaxed) == Advice::refused)
      refused_.fetch_sub(1, std::memory_order_relaxed);
  }
}

}  // namespace stealth
