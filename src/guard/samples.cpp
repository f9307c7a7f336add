// See samples.hpp.
#include "guard/samples.hpp"

#include <cstring>

#include "base/chances.hpp"
#include "engine/sampling.hpp"
#include "engine/slow.hpp"
#include "guard/canary.hpp"
#include "guard/pages.hpp"
#include "guard/reports.hpp"
#include "os/os.hpp"

namespace stealth::guard {

namespace {

struct Sample : Record {
  char* start;
  bool is_charged;  // its page
  bool is_closed;   // inaccessible
};

// [inaccessible][page of sample 0][inaccessible][page of sample 1]...[inaccessible], in the arena.
struct Region {
  Run* run;  // null: there is none yet
  char* first;
  std::size_t page;  // the system's
  std::uint32_t samples;
  bool failed;  // could not be made, and is not tried again
};

// Under g_shared_heap's lock, which forks take: the region's making, and which one is next. Those that were never used
// come first, then what has been free for longest.
constinit Region g_region = {};
constinit Sample g_samples[kMostSamples] = {};
constinit std::uint32_t g_used = 0;  // samples that have ever been
constinit std::uint16_t g_freed[kMostSamples] = {};
constinit std::uint32_t g_oldest = 0, g_freed_count = 0;
constinit std::atomic<bool> g_is_made{false};

constexpr std::size_t kCanaryReach = 64;  // on either side
// Some 0.7 seconds: what tells stacks takes half a millisecond to load.
constexpr std::uint32_t kWindowsBeforeStacks = 4;

static_assert(kTracePlaces == 2 * kMostSamples);
using WantStacks = void() noexcept;
constinit WantStacks* g_want_stacks = nullptr;

char* page_of(Sample const& sample) noexcept {
  auto const index = static_cast<std::size_t>(&sample - g_samples);
  return g_region.first + (2 * index + 1) * g_region.page;
}

bool make_region() noexcept {
  std::size_t const page = guard_bytes();
  auto const samples = static_cast<std::uint32_t>(kSampleBytes / page);
  auto const slots = static_cast<std::uint32_t>(divide_up((2 * samples + 1) * page, kSlot));
  g_region.failed = true;
  Run* const run = g_arena.allocate(Zone::spans, slots, 1);
  if (run == nullptr) return false;
  char* const first = g_arena.memory_of(run);
  if (!close_pages(first, slots * kSlot)) {
    g_arena.free(run);
    return false;
  }
  g_region = {run, first, page, samples, false};
  g_arena.set_owner(run, slots, kGuardedBlock);
  g_is_made.store(true, std::memory_order_release);
  return true;
}

void put_back(Sample& sample) noexcept {
  g_freed[(g_oldest + g_freed_count++) % kMostSamples] = static_cast<std::uint16_t>(&sample - g_samples);
}

// One whose page may be used; null: all are live, or it is refused.
Sample* take(Heap& heap) noexcept {
  Charge charge{.account = &heap.account};
  Hold hold(g_shared_heap.lock);
  if (g_region.run == nullptr && (g_region.failed || !make_region())) return nullptr;
  Sample* sample = nullptr;
  if (g_used < g_region.samples) {
    sample = &g_samples[g_used++];
    sample->is_closed = true;
  } else if (g_freed_count != 0) {
    sample = &g_samples[g_freed[g_oldest]];
    g_oldest = (g_oldest + 1) % kMostSamples;
    --g_freed_count;
  } else {
    return nullptr;
  }
  if (!sample->is_charged) {
    auto const from = static_cast<std::size_t>(page_of(*sample) - g_region.first);
    sample->is_charged = g_arena.touch(g_region.run, static_cast<std::uint32_t>(from / kPage),
                                       static_cast<std::uint32_t>((from + g_region.page) / kPage), charge);
  }
  if (sample->is_charged && sample->is_closed) sample->is_closed = !os::commit(page_of(*sample), g_region.page);
  if (sample->is_charged && !sample->is_closed) return sample;
  put_back(*sample);
  return nullptr;
}

struct Stretch {
  char *from, *to;
};
// The bytes on either side that have canaries.
Stretch before(Sample const& sample) noexcept {
  char* const page = page_of(sample);
  return {sample.start - min(kCanaryReach, static_cast<std::size_t>(sample.start - page)), sample.start};
}
Stretch beyond(Sample const& sample) noexcept {
  char* const end = sample.start + sample.size;
  return {end, word_of(end + min(kCanaryReach, static_cast<std::size_t>(page_of(sample) + g_region.page - end)))};
}

std::uint64_t draw(std::uint32_t& random) noexcept {
  return static_cast<std::uint64_t>(static_cast<double>(kSampleInterval) * exponential(random)) + 1;
}

void* allocate_sample(Heap& heap, std::size_t size, std::size_t block, std::size_t alignment) noexcept {
  if (size > guard_bytes() || alignment > guard_bytes()) return nullptr;
  Sample* const sample = take(heap);
  if (sample == nullptr) return nullptr;
  char* const page = page_of(*sample);
  std::size_t const room = g_region.page - max(size, std::size_t{1});
  bool const at_end = (next_random(heap.sampling_random) >> 16 & 1) != 0;
  sample->start = page + (at_end ? align_down(room, max(alignment, kMinAlignment)) : 0);
  sample->size = size;
  sample->block = static_cast<std::uint32_t>(block);
  sample->door = Door::malloc;
  auto const place = static_cast<std::uint32_t>(2 * (sample - g_samples));
  sample->allocated_by = trace_here_into(place);
  sample->freed_by = kNoTrace;
  fill_canary(before(*sample).from, before(*sample).to);
  fill_words(sample->start, word_of(sample->start + size + sizeof(Word) - 1), kUninitialised);
  fill_canary(beyond(*sample).from, beyond(*sample).to);
  sample->enter(State::live);
  count_guarded(&heap, static_cast<std::int64_t>(block));
  return sample->start;
}

// By an address in a sample's page, or in one of the two beside it; null: none was ever there.
Sample* nearest(void const* address) noexcept {
  if (!g_is_made.load(std::memory_order_acquire)) return nullptr;
  auto const at = static_cast<std::size_t>(static_cast<char const*>(address) - g_region.first);
  std::size_t const page = at / g_region.page;
  std::size_t index = page / 2;
  // Between two of them the one whose page is nearer.
  if (page % 2 == 0 && index != 0 && (at % g_region.page < g_region.page / 2 || index == g_region.samples)) --index;
  if (index >= g_region.samples || g_samples[index].state.load(std::memory_order_acquire) == State::unused)
    return nullptr;
  return &g_samples[index];
}

Sample& sample_at(void* p) noexcept {
  Sample* const sample = nearest(p);
  if (sample == nullptr) report_never_given(p, static_cast<std::uint32_t>(g_region.page));
  if (p != sample->start) report_inside(p, sample->start, *sample);
  return *sample;
}

void check_around(Sample const& sample) noexcept {
  Stretch const left = before(sample), right = beyond(sample);
  if (char const* const damage = damage_in(right.from, right.to); damage != nullptr)
    report_overflow(sample.start, damage, sample);
  if (char const* const damage = damage_in(left.from, left.to); damage != nullptr)
    report_underflow(sample.start, damage, sample, nullptr, nullptr);
}

void free_sample(void* p, std::uint32_t) noexcept {
  Sample& sample = sample_at(p);
  if (!sample.leave_live()) {
    if (sample.state.load(std::memory_order_relaxed) == State::moving) return;
    report_double_free(p, sample);
  }
  check_around(sample);
  sample.freed_by = trace_here_into(static_cast<std::uint32_t>(2 * (&sample - g_samples) + 1));
  Heap* const own = own_heap();
  count_guarded(own, -static_cast<std::int64_t>(sample.block));
  sample.is_closed = os::protect(page_of(sample), g_region.page);
  sample.enter(State::freed);
  Hold hold(g_shared_heap.lock);
  put_back(sample);
}

std::size_t size_of(void* p) noexcept {
  Sample const& sample = sample_at(p);
  if (sample.state.load(std::memory_order_relaxed) == State::freed) report_use(p, sample);
  return sample.size;
}

void reopened(std::uint32_t windows) noexcept {
  if (windows >= kWindowsBeforeStacks) g_want_stacks();
}

constinit Guard const kSamples = {.deallocate = free_sample, .size_of = size_of};
constinit GuardSampler const kSampler = {.draw = draw, .allocate = allocate_sample, .reopened = reopened};

}  // namespace

void begin_samples(void (*want_stacks)() noexcept) noexcept {
  g_want_stacks = want_stacks;
  g_guard.store(&kSamples, std::memory_order_release);
  begin_guard_sampling(kSampler);
}

bool find_sample(void const* address, char*& start, Record const*& record) noexcept {
  Sample const* const sample = nearest(address);
  if (sample == nullptr) return false;
  start = sample->start;
  record = sample;
  return true;
}

}  // namespace stealth::guard
